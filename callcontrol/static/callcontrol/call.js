// The desk: type, see the price, call, watch, cancel. The server says what stands on the page; this file only asks it
// again at the right moments, locks the button between click and answer, and moves the focus.

import { ask, renew, words } from "./fragments.js";
import { tick, watch } from "./live.js";

const TYPING_MS = 350, LOOK_MS = 10000, RECORD_MS = 1000, PLACE_TRIES = 3, AGAIN_MS = 1000;

const number = document.getElementById("number"), call = document.getElementById("call");
const cancel = document.getElementById("cancel"), clear = document.getElementById("clear");
const refused = document.getElementById("refused"), announcer = document.getElementById("announcer");
const alarm = document.getElementById("alarm"), text = words();
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("callcontrol.desk") : null;

let placing = false, typed = 0, watched = { id: "", stop() {} }, warned = "", skew = 0, said = "", failures = 0;

const part = (name) => document.querySelector(`[data-fragment="${name}"]`);
const live = () => part("live").dataset.live === "1";

function address() {
  const query = new URLSearchParams();
  if (number.dataset.redial) query.set("redial", number.dataset.redial);
  else if (number.value.trim()) query.set("number", number.value.trim());
  const text = query.toString();
  return location.pathname + (text ? `?${text}` : "");
}

async function refresh() {
  const asked = address();
  try {
    await renew(asked);
    failures = 0;
    if (asked === address()) history.replaceState(null, "", asked);
  } catch {
    failures += 1;
    if (failures === 2) say(alarm, text.lost);
  }
  settle();
}

// Brings the controls in line with what the server has just said.
function settle() {
  const shown = part("live"), state = shown.dataset;
  const quoted = part("quote").dataset.number === number.value.trim();
  if (state.now) skew = Number(state.now) - Date.now() / 1000;
  call.disabled = placing || !number.value.trim() || !quoted || part("standing").dataset.allowed !== "1";
  call.hidden = live();
  cancel.hidden = !live();
  cancel.disabled = state.cancellable !== "1";
  clear.hidden = !number.value;
  if ((state.announce ?? "") !== said) {
    said = state.announce ?? "";
    say(announcer, said);
  }
  follow(shown);
  ticks();
}

// Exactly one stream or poll, and only while there is something to hear.
function follow(shown) {
  const { call: id = "", live: alive, awaits } = shown.dataset;
  const wanted = alive === "1" || awaits === "1" ? `${id}${alive}` : "";
  if (wanted === watched.id) return;
  const wasLive = watched.id.endsWith("1");
  watched.stop();
  watched = { id: wanted, stop() {} };
  if (alive === "1") watched.stop = watch(id, refresh);
  else if (awaits === "1") watched.stop = waitForRecord(id);
  if (wasLive && alive !== "1") returnFocus();
}

function waitForRecord() {
  let rounds = 0, timer = setTimeout(look, RECORD_MS);
  function look() {
    rounds += 1;
    refresh();
    timer = setTimeout(look, rounds < 60 ? RECORD_MS : LOOK_MS);
  }
  return () => clearTimeout(timer);
}

function ticks() {
  const shown = part("live"), ending = tick(shown, skew), notice = shown.querySelector("[data-testid=ending-soon]");
  if (notice) notice.hidden = !ending;
  if (ending && warned !== shown.dataset.call) {
    warned = shown.dataset.call;
    say(alarm, text.ending);
  }
}

function say(region, sentence) {
  region.textContent = "";
  if (sentence) requestAnimationFrame(() => { region.textContent = sentence; });
}

function returnFocus() {
  if ([document.body, call, cancel].includes(document.activeElement)) number.focus({ preventScroll: true });
}

// One click, one key, one call: the key stays the same when the answer got lost and the question is asked again.
async function place() {
  if (placing || call.disabled || call.hidden) return;
  placing = true;
  busy(true);
  showRefusal(null);
  say(announcer, text.placed);
  const before = part("live").dataset.call;
  const order = number.dataset.redial ? { redial_of: number.dataset.redial } : { customer_number: number.value.trim() };
  const answer = await ordered(order, newKey());
  placing = false;
  busy(false);
  tabs?.postMessage("changed");
  await refresh();
  const failed = answer.status < 200 || answer.status > 299, shown = part("live").dataset.call !== before;
  if (failed && !shown) showRefusal(answer); // a call that began and failed tells it itself
  if (live()) cancel.focus({ preventScroll: true });
  else returnFocus();
}

async function ordered(order, key) {
  let answer = { status: 0, body: {} };
  for (let round = 0; round < PLACE_TRIES; round += 1) {
    answer = await ask("POST", "/api/v1/callbacks", { body: order, headers: { "Idempotency-Key": key } });
    if (answer.status !== 0 && answer.body.code !== "in_progress") return answer;
    await new Promise((resume) => { setTimeout(resume, AGAIN_MS); });
  }
  return answer;
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function busy(isBusy) {
  call.disabled = isBusy;
  call.setAttribute("aria-busy", String(isBusy));
  call.querySelector(".dial-call-text").hidden = isBusy;
  call.querySelector(".dial-call-busy").hidden = !isBusy;
}

async function cancelCall() {
  if (!live() || cancel.disabled) return;
  cancel.disabled = true;
  say(announcer, text.cancelling);
  const answer = await ask("POST", `/api/v1/callbacks/${part("live").dataset.call}/cancel`, { body: { policy: "always" } });
  if (answer.status > 299 || answer.status === 0) showRefusal(answer);
  tabs?.postMessage("changed");
  refresh();
}

// The server's sentence, what helps, and the code for whoever is asked for help.
function showRefusal(answer) {
  refused.hidden = answer === null;
  if (answer === null) return;
  const { title, detail, code = "" } = answer.body, [heading, rest, name] = refused.children;
  heading.textContent = answer.status === 0 ? text.failed : title ?? detail ?? "";
  rest.textContent = text.advice[code] ?? "";
  name.textContent = code;
}

function typing() {
  delete number.dataset.redial;
  showRefusal(null);
  settle();
  clearTimeout(typed);
  typed = setTimeout(refresh, TYPING_MS);
}

function empty() {
  number.value = "";
  typing();
  number.focus();
}

function redial(button) {
  number.value = button.dataset.number;
  number.dataset.redial = button.dataset.redial;
  showRefusal(null);
  scrollTo({ top: 0 });
  number.focus({ preventScroll: true });
  refresh().then(() => { if (!call.disabled && !call.hidden) call.focus({ preventScroll: true }); });
}

number.addEventListener("input", typing);
clear.addEventListener("click", empty);
cancel.addEventListener("click", cancelCall);
document.getElementById("dial").addEventListener("submit", (event) => { event.preventDefault(); place(); });
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-redial]");
  if (button) redial(button);
});
document.addEventListener("keydown", (event) => {
  if (event.altKey && event.code === "KeyC") { event.preventDefault(); place(); }
  if (event.key === "Escape") { if (live()) cancelCall(); else if (number.value) empty(); }
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
tabs?.addEventListener("message", refresh);
setInterval(ticks, 500);
setInterval(() => { if (!document.hidden && !live() && !placing) refresh(); }, LOOK_MS);
settle();
