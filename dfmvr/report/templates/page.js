// Figures grow at a click, tables are sorted by a click on a heading, the contents show where the reader is.
const dialog = document.querySelector("dialog");
const large = dialog.querySelector("img");
document.querySelectorAll("figure button:has(img)").forEach((button) => button.addEventListener("click", () => {
  const image = button.querySelector("img");
  large.src = image.src;
  large.alt = image.alt;
  large.style.width = image.src.startsWith("data:image/svg") ? `${2 * image.width}px` : "";
  dialog.classList.add("fit");
  dialog.showModal();
}));
large.addEventListener("click", () => dialog.classList.toggle("fit"));
dialog.querySelector("button").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => large.removeAttribute("src"));

// What a cell is sorted by: its number, or its text, without the interval in small print; a dash has no number.
function valueOf(row, column) {
  const cell = row.cells[column].cloneNode(true);
  cell.querySelectorAll("small").forEach((small) => small.remove());
  const text = cell.textContent.trim();
  const number = parseFloat(text.replace("\u2212", "-").replace(/^\+/, ""));
  return { text, number: text === "\u2013" ? NaN : number };
}

function sortRows(table, column, numeric, descending) {
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => row.cells.length > column && !row.classList.contains("block"));
    const keyed = rows.map((row) => ({ row, ...valueOf(row, column) }));
    keyed.sort((a, b) => {
      if (!numeric) return (descending ? -1 : 1) * a.text.localeCompare(b.text, "en", { numeric: true });
      if (Number.isNaN(a.number) || Number.isNaN(b.number)) return Number.isNaN(a.number) - Number.isNaN(b.number);
      return (descending ? -1 : 1) * (a.number - b.number);
    });
    body.append(...keyed.map((item) => item.row));
  }
}

document.querySelectorAll("table:not(.pairs)").forEach((table) => {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortRows(table, column, !head.classList.contains("left"), descending);
    });
  });
});

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const inSight = new Set();
const watcher = new IntersectionObserver((entries) => {
  entries.forEach((entry) => inSight[entry.isIntersecting ? "add" : "delete"](entry.target.id));
  const here = [...links.keys()].find((name) => inSight.has(name));
  links.forEach((link, name) => (name === here ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
});
document.querySelectorAll("main > section").forEach((section) => watcher.observe(section));

if (matchMedia("(max-width: 60rem)").matches) document.querySelector("nav details").open = false;
