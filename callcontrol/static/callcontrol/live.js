// One live call: news of it by server-sent events, by polling where there is no room for a stream, and the clocks that
// tick in between. Amounts are whole millionths (BigInt): nothing here is ever a float.

import { ask } from "./fragments.js";

const POLL_MS = 2000, STREAM_AGAIN_MS = 30000, WARN_SECONDS = 60, DECIMALS = 6;
const SYMBOLS = { CNY: "¥", USD: "$", EUR: "€", HKD: "HK$" };

// Calls `onNews` whenever the call has changed, until `stop()`.
export function watch(id, onNews) {
  let stream = null, poll = null, again = null, tag = null, stopped = false;

  function listen() {
    stream = new EventSource(`/api/v1/callbacks/${id}/events`);
    stream.addEventListener("open", () => clearInterval(poll));
    stream.addEventListener("call", () => onNews());
    stream.addEventListener("error", () => {
      stream.close();
      if (stopped) return;
      clearInterval(poll);
      poll = setInterval(look, POLL_MS);
      again = setTimeout(() => { clearInterval(poll); listen(); }, STREAM_AGAIN_MS);
      look();
    });
  }

  async function look() {
    const answer = await ask("GET", `/api/v1/callbacks/${id}`, { headers: tag ? { "If-None-Match": tag } : {} });
    if (stopped || answer.status !== 200 || answer.tag === tag) return;
    tag = answer.tag;
    onNews();
  }

  listen();
  return function stop() {
    stopped = true;
    stream.close();
    clearInterval(poll);
    clearTimeout(again);
  };
}

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds)), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const two = (part) => String(part).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

function millionths(text) {
  const [whole, part = ""] = text.split(".");
  return BigInt(whole + part.padEnd(DECIMALS, "0").slice(0, DECIMALS));
}

function plain(amount) {
  const text = String(amount).padStart(DECIMALS + 1, "0"), point = text.length - DECIMALS;
  const part = text.slice(point).replace(/0+$/, "").padEnd(2, "0");
  return `${text.slice(0, point)}.${part}`;
}

// What the call costs so far: the connection fee and every started increment.
export function runningCost(call, talked) {
  const increments = BigInt(Math.max(1, Math.ceil(talked / Number(call.increment))));
  return plain(millionths(call.connect) + increments * millionths(call.price));
}

// Writes the clocks of the live part. `skew` is the server's time minus ours, in seconds. True in the last minute.
export function tick(part, skew) {
  const call = part.dataset;
  if (call.live !== "1") return false;
  const now = Date.now() / 1000 + skew;
  const talked = call.answered ? now - Number(call.answered) : 0;
  write(part, "elapsed", clock(call.answered ? talked : now - Number(call.created)));
  if (call.max) write(part, "remaining", clock(Number(call.max) - talked));
  if (call.price && call.answered) showCost(part, runningCost(call, talked), call.currency);
  return Boolean(call.answered && call.max) && Number(call.max) - talked <= WARN_SECONDS;
}

function showCost(part, amount, currency) {
  const cell = part.querySelector("[data-testid=running-cost]");
  cell.dataset.amount = amount;
  cell.dataset.currency = currency;
  cell.textContent = `≈ ${SYMBOLS[currency] ?? `${currency} `}${amount}`;
}

function write(part, name, text) {
  const cell = part.querySelector(`[data-testid=${name}]`);
  if (cell && cell.textContent !== text) cell.textContent = text;
}
