// The bell: asks every 10 s, in a tab that somebody looks at, how many notices are unread. The browser sends the ETag of
// its last answer by itself. Who listens hears the newest notice once.

const INTERVAL_MS = 10_000;
const bell = document.querySelector("[data-bell]");
const badge = bell.querySelector("[data-bell-badge]");
const said = document.querySelector("[data-bell-said]");
let timer = 0;

function show({ unread, unread_shown: shown, label, items }) {
  if (unread > Number(bell.dataset.unread) && items.length) said.textContent = items[0].text;
  bell.dataset.unread = unread;
  bell.setAttribute("aria-label", label);
  badge.textContent = shown;
  badge.hidden = !unread;
}

async function ask() {
  clearTimeout(timer);
  if (document.hidden) return; // asked again when the tab is looked at
  try {
    const headers = { "Accept-Language": document.documentElement.lang };
    const answer = await fetch(bell.dataset.bell, { headers, redirect: "error" });
    if (answer.ok) show(await answer.json());
  } catch {
    // The server is away: the next question will tell.
  }
  timer = setTimeout(ask, INTERVAL_MS);
}

document.addEventListener("visibilitychange", ask);
timer = setTimeout(ask, INTERVAL_MS);
