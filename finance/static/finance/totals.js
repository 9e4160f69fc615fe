// The totals of a long list are a question of their own: asked when the list is there, given up by the server in time.
// Whoever leaves the page, or has lost the server, finds the link that stands in their place.

const place = document.querySelector("[data-testid=totals]");
if (place) {
  const response = await fetch(place.dataset.source, { credentials: "same-origin" }).catch(() => null);
  if (response?.ok && !response.redirected) {
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    place.replaceChildren(...fresh.body.children);
  }
}
