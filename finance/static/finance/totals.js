// The totals of a long list are a question of their own: asked when the list is there, given up by the server in time.

const place = document.querySelector("[data-testid=totals]");
if (place) {
  const response = await fetch(place.dataset.source, { credentials: "same-origin" });
  if (response.ok && !response.redirected) {
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    place.replaceChildren(...fresh.body.children);
  }
}
