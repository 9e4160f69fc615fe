// Pages about decks: parts that take seconds arrive after the page, and countdowns count. Works without: a link stands
// where a part will be, and the instant itself beside each countdown.

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

async function fetchPart(place) {
  place.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(place.dataset.part, { headers: { "X-Requested-With": "fetch" } });
    if (answer.ok) {
      place.innerHTML = await answer.text();
      place.classList.remove("dk-waiting");
    }
  } catch {
    // The link that stands there leads to the same figures.
  } finally {
    place.removeAttribute("aria-busy");
  }
}

function countdown(element) {
  const left = Math.round((Date.parse(element.dateTime) - Date.now()) / 1000);
  if (Number.isNaN(left) || left < 0) {
    return;
  }
  const [unit, seconds] = UNITS.find(([, length]) => left >= length) ?? UNITS.at(-1);
  const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "always" });
  element.textContent = words.format(Math.floor(left / seconds), unit);
}

for (const place of document.querySelectorAll("[data-part]")) {
  fetchPart(place);
}
const countdowns = [...document.querySelectorAll("time[data-countdown]")];
countdowns.forEach(countdown);
if (countdowns.length > 0) {
  setInterval(() => document.hidden || countdowns.forEach(countdown), 1000);
}
