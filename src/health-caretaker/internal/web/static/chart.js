// Pictures of one endpoint: its history as bars, and the last check by phase.

import { make, moment, took } from "./words.js";

const most = 100; // bars that are drawn
const least = 40; // places kept, so that the first bars are not huge

const good = (result) => result.result === "ok";

function rect(x, height, result) {
  const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
  title.textContent = `${moment(result.at)}: ${good(result) ? took(result.seconds.total) : result.error}`;
  for (const [name, value] of Object.entries({ x, y: 100 - height, width: 0.8, height })) bar.setAttribute(name, value);
  bar.setAttribute("class", good(result) ? "good" : "bad");
  bar.append(title);
  return bar;
}

// history draws a bar for each result, as high as it took; one that failed fills the height.
// It returns the scale, what is drawn, and the share of the width that is left empty before it.
export function history(svg, results) {
  const shown = results.slice(-most);
  const places = Math.max(least, shown.length);
  const top = Math.max(0.001, ...shown.filter(good).map((result) => result.seconds.total));
  svg.setAttribute("viewBox", `0 0 ${places} 100`);
  svg.replaceChildren(...shown.map((result, i) => {
    const height = good(result) ? Math.max(2, (result.seconds.total / top) * 100) : 100;
    return rect(places - shown.length + i + 0.1, height, result);
  }));
  return { top, shown, empty: 1 - shown.length / places };
}

// summary says in words what the bars show.
export function summary(results) {
  if (results.length === 0) return "No check has ended yet.";
  const times = results.filter(good).map((result) => result.seconds.total).sort((a, b) => a - b);
  const failed = results.length - times.length;
  const share = Math.floor((times.length / results.length) * 1000) / 10;
  const middle = times.length ? `, half of the good ones within ${took(times[Math.floor((times.length - 1) / 2)])}` : "";
  const count = results.length === 1 ? "The last check" : `The last ${results.length} checks`;
  return `${count}: ${share} % good, ${failed} failed${middle}.`;
}

const phases = [
  ["dns", "looking up the name"],
  ["connect", "connecting"],
  ["tls", "TLS"],
  ["first_byte", "waiting for the first byte"],
  ["rest", "the rest"],
];

// split draws where the time of a check went, with a legend.
export function split(bar, legend, seconds) {
  const parts = { ...seconds, rest: seconds.total };
  for (const [name] of phases.slice(0, -1)) parts.rest -= seconds[name];
  const drawn = phases.filter(([name]) => parts[name] > 0);
  bar.replaceChildren(...drawn.map(([name]) => {
    const part = make(`i.${name}`);
    part.style.flexGrow = parts[name] / seconds.total;
    return part;
  }));
  legend.replaceChildren(...drawn.map(([name, words]) =>
    make("div", make("dt", make(`i.${name}`), words), make("dd", took(parts[name])))));
}
