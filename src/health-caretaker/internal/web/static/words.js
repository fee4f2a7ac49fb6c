// Numbers, times and elements, as people read them.

export function took(seconds) {
  const ms = seconds * 1000;
  if (ms >= 999.5) return `${Number(seconds.toFixed(1))}\u00a0s`;
  return `${ms < 9.95 ? ms.toFixed(1) : Math.round(ms)}\u00a0ms`;
}

export function span(seconds) {
  for (const [size, unit] of [[86400, "day"], [3600, "h"], [60, "min"]]) {
    const count = Math.floor(seconds / size);
    if (count >= 1) return `${count}\u00a0${unit}${unit === "day" && count > 1 ? "s" : ""}`;
  }
  return `${Math.max(0, Math.round(seconds))}\u00a0s`;
}

export const since = (time) => span((Date.now() - Date.parse(time)) / 1000);

export const clock = (time) => new Date(time).toLocaleTimeString();

export const moment = (time) => new Date(time).toLocaleString();

export const labels = (view) => Object.entries(view.labels).map(([name, value]) => `${name}=${value}`);

// make builds an element from a name with classes ("span.tag"), its texts and its children.
export function make(kind, ...children) {
  const [name, ...classes] = kind.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  element.append(...children);
  return element;
}

// put writes only what differs, so that nothing flickers and a screen reader has nothing to repeat.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
