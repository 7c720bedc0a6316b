// Navigation on narrow screens, and the search: over `SEARCH`, an index that was made with the pages.
"use strict";

const menu = document.getElementById("menu");
menu.addEventListener("click", () => {
  const open = document.body.classList.toggle("open");
  menu.setAttribute("aria-expanded", String(open));
});

const form = document.getElementById("search");
const field = form.querySelector("input");
const list = document.getElementById("found");
const SHOWN = 12;

// Sections that hold every word of the query (as the beginning of a word), the best first.
function search(query) {
  const words = query.toLowerCase().split(/[^\p{L}\p{N}_]+/u).filter(Boolean);
  if (!words.length) return [];
  const patterns = words.map((word) => new RegExp(`(?<![\\p{L}\\p{N}])${word}`, "giu"));
  const score = (entry) => {
    let total = 0;
    for (const pattern of patterns) {
      const count = (text) => (text.match(pattern) || []).length;
      const one = 20 * count(entry.heading) + 8 * count(entry.title) + Math.min(count(entry.text), 5);
      if (!one) return 0;
      total += one;
    }
    return total;
  };
  return window.SEARCH.map((entry) => ({ entry, score: score(entry) }))
    .filter((hit) => hit.score)
    .sort((a, b) => b.score - a.score)
    .slice(0, SHOWN)
    .map(({ entry }) => ({ ...entry, excerpt: excerpt(entry.text, patterns[0]) }));
}

// The words around the first hit.
function excerpt(text, pattern) {
  const at = Math.max(0, text.search(pattern));
  const start = at < 50 ? 0 : text.indexOf(" ", at - 50) + 1;
  return (start ? "… " : "") + text.slice(start, start + 140) + (text.length > start + 140 ? " …" : "");
}

function show(hits) {
  list.replaceChildren();
  for (const hit of hits) {
    const link = document.createElement("a");
    link.href = `${hit.page}#${hit.anchor}`;
    const head = document.createElement("strong");
    head.textContent = hit.heading === hit.title ? hit.title : `${hit.title}: ${hit.heading}`;
    const text = document.createElement("span");
    text.textContent = hit.excerpt;
    link.append(head, text);
    const item = document.createElement("li");
    item.append(link);
    list.append(item);
  }
  if (!hits.length) {
    const item = document.createElement("li");
    item.textContent = "Nothing found.";
    list.append(item);
  }
}

field.addEventListener("input", () => {
  list.hidden = !field.value.trim();
  if (!list.hidden) show(search(field.value));
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  list.querySelector("a")?.click();
});
document.addEventListener("click", (event) => {
  if (!form.contains(event.target) || event.target.closest("#found a")) list.hidden = true;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") list.hidden = true;
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    field.focus();
  }
});
