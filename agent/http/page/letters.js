// Dead letters: what a receiver refused, and why.

import { getJson } from "./api.js";
import { byId, bytes, count, make } from "./dom.js";
import { rendered } from "./text.js";

/** Show those of a sink, or why they are refused. */
export async function showLetters(sink, refused) {
  byId("letters-title").textContent = `Dead letters of ${sink}`;
  byId("letters-about").textContent = refused ?? "…";
  byId("letters-list").replaceChildren();
  byId("letters").showModal();
  if (refused) return;
  try {
    const { letters, more } = await getJson(`/api/dead-letters?${new URLSearchParams({ sink })}`);
    const again = `Once the reason is mended, “dockferry spool replay ${sink}” sends them again.`;
    byId("letters-about").textContent = letters.length
      ? `${more ? "The newest " : ""}${count(letters.length)}. ${again}`
      : "There are none: its receiver refused nothing that is still kept.";
    byId("letters-list").replaceChildren(...letters.map(entry));
  } catch (error) {
    byId("letters-about").textContent = error.message;
  }
}

function entry(letter) {
  const cut = letter.cut ? ` · cut: it has ${bytes(letter.cut)}` : "";
  return make("li", "",
    make("p", "why", rendered(letter.why ?? "no reason given")),
    make("p", "of", `${letter.container} · ${letter.stream} · written ${letter.time} · `
      + `refused ${letter.refused_at}${cut}`),
    make("pre", "", rendered(letter.message)));
}
