"use strict";

// Without this file the page is whole: tables are in the order in which they were written.

// What is undefined comes after all numbers, best first.
function numberIn(row, column) {
  const number = Number.parseFloat(row.cells[column].textContent.replaceAll(",", ""));
  return Number.isNaN(number) ? -Infinity : number;
}

function byName(a, b) {
  return a.cells[0].textContent.localeCompare(b.cells[0].textContent);
}

function sortBy(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const isText = column === 0;
  const before = heads[column].getAttribute("aria-sort");
  const first = isText ? "ascending" : "descending"; // names from A, numbers from the best
  const order = before === first ? (isText ? "descending" : "ascending") : first;
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const byNumber = (a, b) => Math.sign(numberIn(a, column) - numberIn(b, column)) || 0;
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => sign * (isText ? byName(a, b) : byNumber(a, b)));
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(table, column));
    head.append(button);
  });
}

// Older browsers do not unfold what a link leads into.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  let folded = target?.closest("details");
  if (!folded) return;
  for (; folded; folded = folded.parentElement.closest("details")) folded.open = true;
  target.scrollIntoView();
  target.focus({ preventScroll: true });
}

addEventListener("hashchange", unfold);
unfold();
