// Small helpers. Data becomes text nodes, never markup.

export const byId = (id) => document.getElementById(id);

/** An element with a class and children; strings become text. */
export function make(tag, name = "", ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

/** Set text only where it changed, so that nothing is laid out for nothing. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const count = (number) => whole.format(number);
export const rate = (number) => (number < 100 ? tenth : whole).format(number);

/** 1.2 MiB */
export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit ? tenth.format(number) : whole.format(number)} ${units[unit]}`;
}

/** 3 d 4 h, 2 min 5 s, 12 s */
export function duration(seconds) {
  seconds = Math.max(0, Math.round(seconds));
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = Math.max(0, units.findIndex(([, size]) => seconds >= size));
  if (seconds === 0) return "0 s";
  return units.slice(first, first + 2)
    .map(([unit, size], place) => {
      const part = Math.floor((place ? seconds % units[first][1] : seconds) / size);
      return part || !place ? `${part} ${unit}` : "";
    })
    .filter(Boolean).join(" ");
}

export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** Tell those who listen rather than look. */
export function say(text) {
  byId("said").textContent = text;
}
