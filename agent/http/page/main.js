// The page: asks for the state once a second, and holds the rest together. What is chosen stands in the address.

import { forgetToken, getJson, keepToken, Refused } from "./api.js";
import { byId, duration, write } from "./dom.js";
import { Flow } from "./flow.js";
import { showLetters } from "./letters.js";
import { LEVELS, Tail } from "./tail.js";

const EVERY_MS = 1000;
/** What Docker lets a container be called. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

const flow = new Flow({ choose: (name) => tail.choose(name), letters: (sink) => showLetters(sink, tail.refused) });
const tail = new Tail({ changed: keepAddress, locked: askToken });
let lastWell = performance.now();

function keepAddress() {
  flow.mark(tail.chosen);
  const kept = new URLSearchParams();
  if (tail.chosen.size) kept.set("tail", [...tail.chosen].join(","));
  if (tail.level) kept.set("level", tail.level);
  if (tail.text) kept.set("q", tail.text);
  if (tail.paused) kept.set("paused", "1");
  const hash = kept.size ? `#${kept}` : "";
  if (hash !== location.hash) history.replaceState(null, "", hash || location.pathname);
}

function fromAddress() {
  const kept = new URLSearchParams(location.hash.slice(1));
  tail.pause(kept.get("paused") === "1");
  tail.ask({
    chosen: new Set((kept.get("tail") ?? "").split(",").filter((name) => NAME.test(name))),
    level: LEVELS.includes(kept.get("level")) ? kept.get("level") : "",
    text: kept.get("q") ?? "",
  });
}

function askToken(why = "") {
  write(byId("login-error"), why);
  if (!byId("login").open) byId("login").showModal();
}

async function look() {
  try {
    const state = await getJson(`/api/state?since=${flow.history.tick}`);
    if (state.tick < flow.history.tick) flow.history.forget(); // another agent
    else flow.show(state);
    tail.allow(state.tail.refused);
    lastWell = performance.now();
    showSilence("");
    return true;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      askToken();
      return false;
    }
    const reason = error instanceof Refused ? error.message : "is it running?";
    showSilence(`The agent has not answered for ${duration((performance.now() - lastWell) / 1000)}: ${reason}`);
    return true;
  }
}

function showSilence(why) {
  document.body.classList.toggle("silent", Boolean(why));
  if (why) {
    byId("trouble").hidden = false;
    write(byId("trouble"), why);
  }
}

async function watch() {
  while (await look()) {
    await new Promise((done) => setTimeout(done, EVERY_MS));
    if (document.hidden) {
      await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
    }
  }
}

function begin() {
  fromAddress();
  watch();
}

byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  keepToken(byId("token").value);
  try {
    await getJson("/api/state");
    byId("token").value = "";
    byId("login").close();
    begin();
  } catch (error) {
    if (error instanceof Refused && error.status === 401) forgetToken();
    askToken(error instanceof Refused && error.status === 401 ? "That is not the token." : error.message);
  }
});
byId("login").addEventListener("cancel", (event) => event.preventDefault());

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
byId("help").addEventListener("click", () => byId("keys").showModal());
window.addEventListener("hashchange", fromAddress);

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "Escape" && typing) {
    byId("lines").focus();
  } else if (!typing && event.key === "/") {
    event.preventDefault();
    byId("filter").focus();
    byId("filter").select();
  } else if (!typing && event.key === "?") {
    byId("keys").showModal();
  } else if (!event.target.closest("button, a, input, select") && event.key === " ") {
    event.preventDefault();
    tail.pause();
  }
});

begin();
