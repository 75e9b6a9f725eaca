(() => {
  "use strict";
  const one = (what, where = document) => where.querySelector(what);
  const token = one('meta[name="chaoskit-token"]').content;
  one("#scriptless").remove();
  const live = one("[data-stream]");
  let heard = Date.now(), spoken = 0, waiting = null;

  // What is unchanged stays the very node it was: an open mail stays open, and its frame is not loaded again.
  function keepList(place, fresh) {
    const had = new Map([...place.children].map((node) => [node.dataset.keep, node]));
    let at = place.firstElementChild;
    for (const node of [...fresh.children]) {
      const kept = had.get(node.dataset.keep);
      if (kept && kept.dataset.hash === node.dataset.hash) {
        had.delete(node.dataset.keep);
        if (kept === at) at = at.nextElementSibling; else place.insertBefore(kept, at);
      } else {
        if (kept && kept.open) node.open = true;
        place.insertBefore(node, at);
      }
    }
    for (const node of had.values()) { if (node === at) at = at.nextElementSibling; node.remove(); }
  }

  function put(place, html) {
    const box = document.createElement("template");
    box.innerHTML = html;
    if (place.hasAttribute("data-list")) return keepList(place, box.content);
    const active = document.activeElement, focused = active && place.contains(active) ? active.id : "";
    const open = [...place.querySelectorAll("details")].map((node) => node.open);
    const scrolled = [...place.querySelectorAll("pre")].map((node) => node.scrollTop);
    place.replaceChildren(box.content);
    place.querySelectorAll("details").forEach((node, number) => { if (open[number]) node.open = true; });
    place.querySelectorAll("pre").forEach((node, number) => { node.scrollTop = scrolled[number] || 0; });
    const again = focused && document.getElementById(focused);
    if (again) again.focus({ preventScroll: true });
  }

  // Those who listen hear at most one sentence in two seconds, and always the last one.
  function speak(place, html) {
    clearTimeout(waiting);
    waiting = setTimeout(() => { spoken = Date.now(); put(place, html); }, Math.max(0, spoken + 2000 - Date.now()));
  }

  function listen() {
    const source = new EventSource(live.dataset.stream);
    source.addEventListener("beat", () => { heard = Date.now(); });
    source.addEventListener("gone", () => { location.reload(); });
    source.onmessage = (event) => {
      heard = Date.now();
      for (const [key, html] of Object.entries(JSON.parse(event.data))) {
        const place = one(`[data-key="${key}"]`, live);
        if (place) (key === "status" ? speak : put)(place, html);
      }
    };
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) { source.close(); setTimeout(listen, 2000); } };
  }

  if (live) {
    listen();
    setInterval(() => {
      const silent = Math.floor((Date.now() - heard) / 1000), old = one("#old"), stale = silent >= 3;
      document.body.classList.toggle("stale", stale);
      if (old.hidden === stale) old.hidden = !stale;
      if (stale) old.textContent = `This page is old since ${silent} s: the console does not answer. The run goes on by itself.`;
    }, 500);
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-post]");
    if (!form) return;
    event.preventDefault();
    const button = one("button", form), said = one("#answer");
    const show = (text) => { said.textContent = text; said.hidden = !text; };
    if (button) button.disabled = true;
    show("");
    try {
      const answer = await fetch(form.dataset.post, {
        method: "POST", headers: { "X-Chaoskit-Token": token, "Content-Type": "application/json" },
        body: JSON.stringify(Object.fromEntries(new FormData(form))),
      });
      const told = await answer.json().catch(() => ({ text: `the console answered ${answer.status}` }));
      if (told.go) { location.assign(told.go); return; }
      show(told.text || "");
      if (answer.ok) form.reset();
    } catch (error) {
      show("The console does not answer. In a terminal, chaoskit stop ends every run.");
    }
    if (button) button.disabled = false;
  });
})();
