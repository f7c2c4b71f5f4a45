// Light, dark, or as the system has it. Runs before anything is painted.
"use strict";
(() => {
  const KEY = "dockferry-theme";
  const WORDS = { system: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = localStorage.getItem(KEY) ?? "system";
  if (!(chosen in WORDS)) chosen = "system";

  function show() {
    const dark = chosen === "dark" || (chosen === "system" && system.matches);
    document.documentElement.dataset.shade = dark ? "dark" : "light";
    const button = document.getElementById("theme");
    if (button) button.textContent = WORDS[chosen];
  }

  system.addEventListener("change", show);
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme").addEventListener("click", () => {
      const names = Object.keys(WORDS);
      chosen = names[(names.indexOf(chosen) + 1) % names.length];
      localStorage.setItem(KEY, chosen);
      show();
    });
  });
  show();
})();
