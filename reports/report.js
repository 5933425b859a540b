"use strict";
// The page works without this: all rows are there. With it, tables can be searched and sorted, and an address such as
// #findings?q=prod&sort=0&order=ascending opens a table searched and sorted. Nothing is fetched and nothing is stored.
(() => {
  const FEW = 12; // rows below which a search box is only in the way

  const text = (row, column) => (row.cells[column] || {}).textContent.trim();

  // "−1,234.50" is a number to its reader; so it is here. "<0.01" is less than any cent, a dash is less than anything.
  const number = (shown) => {
    const found = shown.replace(/\u2212/g, "-").match(/-?<?[\d,]+(\.\d+)?/);
    if (!found) return -Infinity;
    const value = Number(found[0].replace(/[,<]/g, ""));
    return found[0].includes("<") ? value / 2 : value;
  };

  const value = (row, column, numeric) => {
    const cell = row.cells[column];
    if (cell && cell.dataset.v) return Number(cell.dataset.v);
    return numeric ? number(text(row, column)) : text(row, column).toLowerCase();
  };

  const sort = (table, column, order) => {
    const head = table.tHead.rows[0].cells;
    const numeric = head[column].classList.contains("n");
    const turn = order === "descending" ? -1 : 1;
    const rows = [...table.tBodies[0].rows].map((row) => [value(row, column, numeric), row]);
    rows.sort(([a], [b]) => turn * (typeof a === "number" ? (a > b) - (a < b) : a.localeCompare(b, "en")));
    table.tBodies[0].append(...rows.map(([, row]) => row));
    for (const cell of head) cell.removeAttribute("aria-sort");
    head[column].setAttribute("aria-sort", order);
  };

  const search = (table, words, said) => {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const content = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => content.includes(word));
      shown += !row.hidden;
    }
    const all = table.tBodies[0].rows.length;
    said.textContent = shown === all ? `${all.toLocaleString("en")} rows` : `${shown.toLocaleString("en")} of ${all.toLocaleString("en")} rows`;
  };

  const enhance = (table) => {
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...cell.childNodes);
      button.addEventListener("click", () => {
        const first = cell.classList.contains("n") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        sort(table, column, cell.getAttribute("aria-sort") === first ? other : first);
      });
      cell.append(button);
    });
    if (table.tBodies[0].rows.length < FEW) return;
    const tools = document.createElement("p");
    tools.className = "tools";
    const box = document.createElement("input");
    box.type = "search";
    box.placeholder = "Search";
    box.setAttribute("aria-label", `Search: ${table.caption.textContent}`);
    const said = document.createElement("span");
    said.setAttribute("role", "status");
    tools.append(box, said);
    table.parentElement.before(tools);
    box.addEventListener("input", () => search(table, box.value, said));
    table.search = (words) => { box.value = words; search(table, words, said); };
    table.search("");
  };

  const open = () => {
    const [name, query] = location.hash.slice(1).split("?");
    const table = query && document.getElementById(name);
    if (!table || !table.matches("table.data")) return;
    const asked = new URLSearchParams(query);
    const column = Number(asked.get("sort"));
    if (asked.has("sort") && table.tHead.rows[0].cells[column]) {
      sort(table, column, asked.get("order") === "ascending" ? "ascending" : "descending");
    }
    if (asked.has("q") && table.search) table.search(asked.get("q"));
    table.parentElement.scrollIntoView();
  };

  document.querySelectorAll("table.data").forEach(enhance);
  addEventListener("hashchange", open);
  open();

  let closed = []; // paper can't be unfolded
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));
})();
