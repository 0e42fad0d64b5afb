// Refresh the table of the live market from /platform/feed. Rows are made here only for symbols that are new.
"use strict";
const COLUMNS = ["price", "side", "traded", "rate", "stored", "gaps", "missing", "known"];
const TEXT = new Set(["side", "traded", "known"]);
const SILENT_MS = 25_000;
const body = document.querySelector("#market tbody");
const connection = document.getElementById("connection");
let heard = Date.now();

function say(text, bad) {
  if (connection.textContent !== text) connection.textContent = text;
  connection.classList.toggle("low", Boolean(bad));
}

function rowOf(row) {
  let found = [...body.rows].find((each) => each.dataset.key === row.key);
  if (found) return found;
  found = document.createElement("tr");
  found.dataset.key = row.key;
  const head = document.createElement("th");
  head.scope = "row";
  const symbol = document.createElement("span");
  symbol.textContent = row.symbol;
  head.append(symbol, ` ${row.venue}`);
  found.append(head);
  for (const name of COLUMNS) {
    const cell = document.createElement("td");
    cell.dataset.of = name;
    if (TEXT.has(name)) cell.classList.add("text");
    found.append(cell);
  }
  body.append(found);
  return found;
}

function show(rows) {
  for (const row of rows) {
    const shown = rowOf(row);
    for (const name of COLUMNS) {
      const cell = shown.querySelector(`[data-of="${name}"]`);
      if (cell.textContent !== row[name]) cell.textContent = row[name];
      if (name === "known") cell.classList.toggle("low", row.concern > 0);
    }
  }
}

const feed = new EventSource("/platform/feed");
function listen(name, act) {
  feed.addEventListener(name, (event) => {
    const told = JSON.parse(event.data);
    heard = Date.now();
    act(told);
    say(told.error ? `No numbers: ${told.error}` : "Connected.", told.error);
  });
}
listen("snapshot", (told) => {
  const keys = new Set(told.rows.map((row) => row.key));
  for (const row of [...body.rows]) if (!keys.has(row.dataset.key)) row.remove();
  show(told.rows);
});
listen("change", (told) => show(told.rows));
listen("heartbeat", () => {});
feed.addEventListener("error", () => say("Disconnected; trying again …", true));
setInterval(() => {
  if (Date.now() - heard > SILENT_MS) say("No word for 25 s: the numbers are old.", true);
}, 5_000);
