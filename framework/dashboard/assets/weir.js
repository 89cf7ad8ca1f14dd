// Keeps a page up to date. The server makes whole pages; this script reads the
// page again when the feed of changes says so, and puts the differences in, so
// that focus, scroll position and unfolded parts stay.
"use strict";

(() => {
  const main = document.querySelector("main[data-live]");
  const feed = document.getElementById("feed");
  if (!main || !feed) return;

  // Times are relative, and a stream becomes late without any event, so a page is
  // also read again without a change.
  const idleMillis = 15000;
  let source = null;
  let reading = false;
  let again = false;
  let opened = false;

  function show(state, text) {
    feed.hidden = false;
    if (feed.dataset.state !== state) {
      feed.dataset.state = state;
      feed.textContent = text;
    }
  }

  async function refresh() {
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    try {
      const answer = await fetch(location.pathname, { headers: { Accept: "text/html" }, cache: "no-store" });
      if (answer.redirected) {
        // The session has ended.
        location.reload();
        return;
      }
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const body = next.querySelector("main");
      if (body) {
        document.title = next.title;
        morphChildren(main, body);
        enhance();
      }
    } catch {
      show("lost", "not connected");
    } finally {
      reading = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  }

  function keyOf(node) {
    return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null;
  }

  function same(a, b) {
    return a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
  }

  // morph makes `from` equal to `to` with the fewest changes.
  function morph(from, to) {
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
      return;
    }
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && !isOwn(from, name)) from.removeAttribute(name);
    }
    for (const { name, value } of [...to.attributes]) {
      if (from.getAttribute(name) !== value && !isOwn(from, name)) from.setAttribute(name, value);
    }
    morphChildren(from, to);
  }

  // isOwn: what the reader has done to the page stays.
  function isOwn(node, name) {
    return (name === "open" && node.nodeName === "DETAILS") || (name === "hidden" && node.hasAttribute("data-copy"));
  }

  // solid lists the children without the blanks between them, which would set
  // nodes against each other that do not belong together.
  function solid(node) {
    const verbatim = node.nodeName === "PRE" || node.nodeName === "CODE";
    return [...node.childNodes].filter((n) => verbatim || n.nodeType !== Node.TEXT_NODE || n.nodeValue.trim() !== "");
  }

  function morphChildren(from, to) {
    const goal = solid(to);
    const wanted = new Set(goal.map(keyOf).filter((key) => key !== null));
    let rest = solid(from);
    // What is gone makes room first, so that what stays need not move.
    for (const child of rest) {
      if (keyOf(child) !== null && !wanted.has(keyOf(child))) child.remove();
    }
    rest = rest.filter((child) => child.parentNode === from);
    for (const child of goal) {
      const key = keyOf(child);
      let i = 0;
      if (key !== null) i = rest.findIndex((c) => same(c, child));
      else if (rest.length === 0 || !same(rest[0], child)) i = -1;
      if (i < 0) {
        from.insertBefore(document.importNode(child, true), rest[0] || null);
        continue;
      }
      const [found] = rest.splice(i, 1);
      if (i > 0) from.insertBefore(found, rest[0]);
      morph(found, child);
    }
    for (const child of rest) child.remove();
  }

  function connect() {
    if (source) return;
    source = new EventSource("/api/v1/changes");
    source.addEventListener("ready", () => {
      show("live", "live");
      // Something may have changed while nobody listened.
      if (opened) refresh();
      opened = true;
    });
    source.addEventListener("change", refresh);
    source.addEventListener("error", () => {
      show("lost", "reconnecting");
      if (source && source.readyState === EventSource.CLOSED) {
        disconnect();
        setTimeout(() => { if (!document.hidden) connect(); }, 5000);
      }
    });
  }

  function disconnect() {
    if (source) source.close();
    source = null;
  }

  // A browser opens few connections to one server, so a page that nobody sees
  // gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) disconnect();
    else connect();
  });
  window.addEventListener("pagehide", disconnect);

  function enhance() {
    for (const button of main.querySelectorAll("button[data-copy]")) button.hidden = false;
  }

  main.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const input = button.parentElement.querySelector("input");
    input.select();
    try {
      await navigator.clipboard.writeText(input.value);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    } catch {
      button.textContent = "Press Ctrl+C";
    }
  });

  enhance();
  if (!document.hidden) connect();
  setInterval(() => { if (!document.hidden) refresh(); }, idleMillis);
})();
