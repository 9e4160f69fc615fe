// Recordings: which of the calls on the page have one is asked once; the sound itself comes when somebody wants to hear
// it, from our own address. What stands in the way is said in the server's words.

import { ask } from "./fragments.js";

const slots = new Map();
for (const slot of document.querySelectorAll("[data-recording]")) slots.set(slot.dataset.recording, slot);

async function look() {
  if (!slots.size) return;
  const answer = await ask("GET", `/api/v1/cdrs/recordings?ids=${[...slots.keys()].join(",")}`);
  if (answer.status !== 200) return;
  for (const { cdr_id: id, href } of answer.body.items) offer(slots.get(id), href);
}

function offer(slot, href) {
  slot.hidden = false;
  slot.querySelector("button").addEventListener("click", () => play(slot, href));
}

function play(slot, href) {
  const sound = new Audio(href), button = slot.querySelector("button"), place = slot.querySelector(".recording-sound");
  sound.controls = true;
  sound.setAttribute("aria-label", button.textContent.trim());
  slot.querySelector("[role=status]").textContent = "";
  sound.addEventListener("error", () => explain(slot, href), { once: true });
  place.replaceChildren(sound);
  button.hidden = true;
  sound.focus();
  sound.play().catch(() => {}); // a browser that wants another click has its own button for it
}

// The element only knows that it failed: the server knows why.
async function explain(slot, href) {
  const answer = await ask("GET", href), button = slot.querySelector("button");
  slot.querySelector(".recording-sound").replaceChildren();
  button.hidden = false;
  slot.querySelector("[role=status]").textContent = answer.body.title ?? slot.dataset.failed;
  button.focus();
}

look();
