// Parts of a page renew themselves: the page asks for its own address again, without the frame around it, and every
// element with data-fragment takes the new content. What has not changed is left alone, so focus and reading position stay.

let latest = 0;

export async function renew(address) {
  const mine = ++latest;
  const response = await fetch(address, { headers: { "X-Fragment": "1" }, credentials: "same-origin" });
  if (response.redirected || response.status === 401) return location.reload(); // the session has ended
  if (!response.ok) throw new Error(`status ${response.status}`);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  if (mine !== latest) return undefined; // a younger question is on its way
  for (const part of fresh.querySelectorAll("[data-fragment]")) place(part);
  return undefined;
}

function place(part) {
  const old = document.querySelector(`[data-fragment="${part.dataset.fragment}"]`);
  if (!old || old.isEqualNode(part)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  old.replaceWith(document.adoptNode(part));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

export function words() {
  return JSON.parse(document.getElementById("call-words").textContent);
}

// Asks our API as this person. Answers {status, body}; status 0 when the server could not be reached.
export async function ask(method, address, { body, headers = {} } = {}) {
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const sent = { "X-CSRFToken": token, "Accept-Language": document.documentElement.lang, ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  try {
    const response = await fetch(address, { method, headers: sent, body: JSON.stringify(body), credentials: "same-origin" });
    const text = await response.text();
    return { status: response.status, tag: response.headers.get("ETag"), body: text ? JSON.parse(text) : {} };
  } catch {
    return { status: 0, body: {} };
  }
}
