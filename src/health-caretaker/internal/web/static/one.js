// The dialog that shows one endpoint.

import { history, split, summary } from "./chart.js";
import { clock, labels, make, moment, put, since, span, took } from "./words.js";

const dialog = document.getElementById("one");
const at = (id) => document.getElementById(`one-${id}`);
const check = document.getElementById("check");
const checked = document.getElementById("checked");
const rows = 20;

let view = null;
let results = [];

const address = (name, rest) => `api/v1/endpoints/${encodeURIComponent(name)}/${rest}`;

function certificate() {
  if (view.certificate_days === undefined) return "";
  const days = Math.floor(view.certificate_days);
  const date = new Date(view.certificate_end).toLocaleDateString();
  return days < 0 ? `ended on ${date}` : `ends in ${days === 1 ? "1 day" : `${days} days`}, on ${date}`;
}

// link leads to the endpoint, unless the service hid a secret in its address: that one leads elsewhere.
function link() {
  if (view.url.includes("xxxxx")) at("address").removeAttribute("href");
  else at("address").href = view.url;
  put(at("address"), view.url);
}

// facts fills places that stay: a link that is replaced would lose the focus.
function facts() {
  const { last } = view;
  link();
  put(at("asked"), `${view.method}, every ${span(view.interval_seconds)}, for at most ${took(view.timeout_seconds)}`);
  put(at("checked"), last ? `${moment(last.at)}${last.status ? `, HTTP status ${last.status}` : ""}` : "");
  put(at("certificate"), certificate());
  put(at("labels"), labels(view).join(", "));
  for (const value of dialog.querySelectorAll(".facts dd")) value.parentElement.hidden = value.textContent === "";
}

function table() {
  return results.slice(-rows).reverse().map((result) =>
    make("tr", make("td", moment(result.at)), make("td", took(result.seconds.total)), make("td", result.error ?? "good")));
}

function draw() {
  put(at("name"), view.name);
  put(at("state"), `${view.state} for ${since(view.since)}`);
  at("state").className = `state ${view.state}`;
  put(at("error"), view.last?.error ?? "");
  facts();
  const { top, shown, empty } = history(at("chart"), results);
  put(at("summary"), summary(shown));
  put(at("most"), took(top));
  put(at("first"), empty < 0.7 ? clock(shown[0].at) : ""); // else it would meet the last one
  // Pushed aside without words of its own, it would push the last one's over the edge.
  at("first").style.marginLeft = empty < 0.7 ? `${empty * 100}%` : "";
  put(at("last"), shown.length ? clock(shown.at(-1).at) : "");
  if (view.last) split(at("phases"), at("legend"), view.last.seconds);
  at("table").replaceChildren(...table());
}

export const shown = () => (dialog.open ? view?.name : undefined);

// renew takes a newer view of the endpoint that is open.
export function renew(newer) {
  if (newer.name !== shown()) return;
  view = newer;
  if (view.last && !(results.at(-1)?.at >= view.last.at)) results = [...results, view.last];
  draw();
}

export async function show(chosen) {
  view = chosen;
  results = [];
  put(checked, "");
  at("phases").replaceChildren();
  at("legend").replaceChildren();
  draw();
  if (!dialog.open) dialog.showModal();
  at("name").focus();
  try {
    const answer = await fetch(address(chosen.name, "history"));
    const kept = answer.ok ? (await answer.json()).results : [];
    if (shown() !== chosen.name) return;
    results = kept;
    renew(view);
  } catch {
    put(checked, "The history could not be fetched.");
  }
}

export const hide = () => dialog.close();

export const onHide = (tell) => dialog.addEventListener("close", tell);

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) hide(); // the space around it
});

check.addEventListener("click", async () => {
  if (check.ariaBusy === "true") return;
  const { name } = view;
  check.ariaBusy = "true";
  put(checked, "Checking …");
  let words;
  try {
    const answer = await fetch(address(name, "check"), { method: "POST" });
    const said = await answer.json();
    words = answer.ok ? (said.last.error ?? `It answered well in ${took(said.last.seconds.total)}.`) : said.error;
    if (answer.ok) renew(said);
  } catch {
    words = "The service did not answer.";
  }
  check.ariaBusy = "false";
  if (shown() === name) put(checked, words);
});
