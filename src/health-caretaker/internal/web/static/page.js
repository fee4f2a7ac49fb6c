// The page: every endpoint at a glance, filtered, and live.

import { follow, often } from "./live.js";
import * as one from "./one.js";
import { labels, make, put, since, took } from "./words.js";

const $ = (id) => document.getElementById(id);
const states = ["down", "unknown", "up"];
const marks = { up: "●", down: "▲", unknown: "○" };
const form = $("filter");
const known = new Map(); // name -> { view, row, tags, text }
let status = null;

// ---- one row

function newRow(name) {
  const part = (name) => make(`span.${name}`);
  const row = make("li", make("a.row",
    make("span.mark", part("shape"), make("span.heard", part("state"), ", ")),
    make("span.who", part("name"), " ", part("labels"), " ", part("address")),
    part("error"), " ", part("took"), " ", part("since")));
  row.parts = Object.fromEntries([...row.querySelectorAll("span[class]")].map((span) => [span.className, span]));
  row.parts.shape.ariaHidden = "true";
  row.firstChild.href = `#/${encodeURIComponent(name)}`;
  put(row.parts.name, name);
  return row;
}

function fill(entry) {
  const { row, view } = entry;
  const { parts } = row;
  const error = view.last?.error ?? "";
  entry.tags = labels(view);
  entry.text = [view.name, view.url, error, ...entry.tags].join("\n").toLowerCase();
  row.className = view.state;
  put(parts.shape, marks[view.state]);
  put(parts.state, view.state);
  put(parts.address, view.url);
  put(parts.error, error);
  put(parts.took, view.last ? took(view.last.seconds.total) : "");
  if (parts.labels.textContent !== entry.tags.join("")) {
    parts.labels.replaceChildren(...entry.tags.map((tag) => make("span.tag", tag)));
  }
}

const tick = ({ row, view }) => put(row.parts.since, `for ${since(view.since)}`);

// ---- what is shown

// wanted reads the filter once: what follows is done for a thousand endpoints.
function wanted() {
  const { text, state, label } = Object.fromEntries(new FormData(form));
  const words = text.toLowerCase().split(/\s+/);
  return (entry) => (!state || entry.view.state === state) && (!label || entry.tags.includes(label)) &&
    words.every((word) => entry.text.includes(word));
}

// place puts every row into its list, by name. It is needed where one comes or changes its state.
function place() {
  const focused = document.activeElement;
  const sorted = [...known.values()].sort((a, b) => (a.view.name < b.view.name ? -1 : 1));
  for (const state of states) {
    const list = document.querySelector(`.group.${state}`).lastElementChild;
    let next = list.firstChild;
    for (const { row, view } of sorted) {
      if (view.state !== state) continue;
      if (row === next) next = next.nextSibling;
      else list.insertBefore(row, next);
    }
  }
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

// sift shows, of the entries that are news, those that the filter wants.
function sift(entries) {
  const matches = wanted();
  for (const entry of entries) {
    const hidden = !matches(entry);
    if (entry.row.hidden !== hidden) entry.row.hidden = hidden;
  }
  let visible = 0;
  for (const state of states) {
    const members = [...known.values()].filter(({ view }) => view.state === state);
    const here = members.filter(({ row }) => !row.hidden).length;
    const group = document.querySelector(`.group.${state}`);
    visible += here;
    group.hidden = here === 0;
    const title = state[0].toUpperCase() + state.slice(1);
    put(group.firstElementChild, `${title} · ${here === members.length ? here : `${here} of ${members.length}`}`);
  }
  $("none").hidden = visible > 0 || known.size === 0;
  $("empty").hidden = known.size > 0 || status === null;
  form.hidden = known.size === 0;
}

function offerLabels() {
  const offered = $("label");
  const tags = [...new Set([...known.values()].flatMap(({ tags }) => tags))].sort();
  if (tags.join("\n") === [...offered.options].slice(1).map(({ value }) => value).join("\n")) return;
  const chosen = offered.value || offered.dataset.wanted;
  offered.replaceChildren(new Option("any label", ""), ...tags.map((tag) => new Option(tag, tag, false, tag === chosen)));
  offered.parentElement.hidden = tags.length === 0;
}

// ---- the whole

function verdict({ total, up, down, unknown }) {
  const are = (count) => `${count} of ${total} ${total === 1 ? "endpoint" : "endpoints"} ${count === 1 ? "is" : "are"}`;
  if (total === 0) return "No endpoints";
  if (down > 0) return `${are(down)} down`;
  if (unknown > 0) return `${are(unknown)} not known yet`;
  return total === 1 ? "The endpoint is up" : `All ${total} endpoints are up`;
}

function total() {
  const counts = { total: known.size, up: 0, down: 0, unknown: 0 };
  for (const { view } of known.values()) counts[view.state] += 1;
  for (const number of form.querySelectorAll("[data-count]")) put(number, String(counts[number.dataset.count]));
  for (const part of $("share").children) {
    part.style.flexGrow = counts[part.className];
    part.hidden = counts[part.className] === 0;
  }
  const words = verdict(counts);
  put($("verdict"), words);
  document.body.dataset.state = states.find((state) => counts[state] > 0) ?? "unknown";
  document.title = `${words} – health-caretaker`;
}

function service() {
  const { config, version } = status;
  const problems = (config.error ?? "").split("\n");
  if ($("problems").textContent !== problems.join("")) {
    $("problems").replaceChildren(...problems.map((problem) => make("li", problem)));
  }
  $("refused").hidden = config.valid;
  put($("path"), config.path);
  put($("about"), `health-caretaker ${version}`);
}

function say(changes) {
  if (changes.length === 0) return;
  const few = changes.map(({ name, state, last }) => `${name} is ${state}${last?.error ? `: ${last.error}` : ""}.`);
  $("news").textContent = changes.length <= 3 ? few.join(" ") : `${changes.length} endpoints changed. ${$("verdict").textContent}.`;
}

// ---- messages

function take(message) {
  const first = status === null;
  const whole = message.type === "snapshot";
  status = message.status;
  if (whole) forget(new Set(message.endpoints.map(({ name }) => name)));
  const news = message.endpoints.map(renew);
  const changes = news.filter(({ before, view }) => before && before !== view.state).map(({ view }) => view);
  if (whole) offerLabels(); // they change with the configuration only
  if (changes.length > 0 || news.some(({ before }) => !before)) place();
  sift(news);
  total();
  service();
  say(changes);
  if (first) route();
}

// renew takes the newer view of an endpoint, and notes the state it had before.
function renew(view) {
  const entry = known.get(view.name) ?? { row: newRow(view.name) };
  entry.before = entry.view?.state;
  entry.view = view;
  known.set(view.name, entry);
  fill(entry);
  tick(entry);
  one.renew(view);
  return entry;
}

function forget(kept) {
  for (const [name, { row }] of known) {
    if (kept.has(name)) continue;
    known.delete(name);
    row.remove();
    if (one.shown() === name) one.hide();
  }
}

function tell(how) {
  const lines = { live: "live", polled: `not live, updated every ${often / 1000} s`, cut: "connection lost, trying again" };
  put($("line"), lines[how]);
  if (status === null) put($("verdict"), "Nothing is known yet");
  document.body.classList.toggle("live", how === "live");
  document.body.classList.toggle("cut", how === "cut");
}

// ---- the address: #/name opens an endpoint, ?text=&state=&label= is the filter

function route() {
  const name = location.hash.startsWith("#/") ? decodeURIComponent(location.hash.slice(2)) : "";
  const entry = known.get(name);
  if (entry) one.show(entry.view);
  else if (one.shown()) one.hide();
}

function remember() {
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
}

function recall() {
  const query = new URLSearchParams(location.search);
  form.elements.text.value = query.get("text") ?? "";
  form.elements.state.value = query.get("state") ?? "";
  $("label").dataset.wanted = query.get("label") ?? "";
}

// ---- keys

function move(event) {
  const rows = [...document.querySelectorAll(".group:not([hidden]) li:not([hidden]) > a")];
  const here = rows.indexOf(document.activeElement);
  const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (to === undefined || (here < 0 && document.activeElement !== form.elements.text)) return;
  if (here < 0 && event.key !== "ArrowDown") return;
  event.preventDefault();
  (to < 0 ? form.elements.text : rows[Math.min(to, rows.length - 1)])?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || one.shown()) return;
  const typing = event.target.matches("input[type=search], select");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    form.elements.text.select();
  } else if (event.key === "Escape" && event.target === form.elements.text) {
    form.elements.text.value = "";
    form.dispatchEvent(new Event("input"));
  } else {
    move(event);
  }
});

form.addEventListener("input", () => {
  $("label").dataset.wanted = "";
  remember();
  sift(known.values());
});
form.addEventListener("submit", (event) => event.preventDefault());
$("clear").addEventListener("click", () => {
  form.reset();
  form.dispatchEvent(new Event("input"));
  form.elements.text.focus();
});
one.onHide(() => history.replaceState(null, "", location.pathname + location.search));
window.addEventListener("hashchange", route);
setInterval(() => known.forEach(tick), 5000);

recall();
follow(take, tell);
