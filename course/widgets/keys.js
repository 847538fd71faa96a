(() => {
  "use strict";
  // JupyterLab's command mode takes plain keys (arrows, Enter, letters) wherever it sees them; inside a card
  // they belong to the card. Keys that are held with Ctrl, Alt or Meta, and Shift-Enter, stay JupyterLab's.
  const keep = (event) => {
    const jupyters = event.ctrlKey || event.altKey || event.metaKey || (event.shiftKey && event.key === "Enter");
    if (!jupyters) event.stopPropagation();
  };
  // What a screen reader says of a slider: its name, and 0.1 for 0.09999999999999999.
  const tidy = (handle) => {
    const said = handle.getAttribute("aria-valuetext");
    const rounded = String(Number(Number(said).toFixed(6)));
    if (said !== null && said !== rounded) handle.setAttribute("aria-valuetext", rounded);
  };
  const name = (handle) => {
    const label = handle.closest(".widget-slider")?.querySelector(".widget-label");
    if (label) handle.setAttribute("aria-label", label.textContent);
    tidy(handle);
    new MutationObserver(() => tidy(handle)).observe(handle, { attributeFilter: ["aria-valuetext"] });
  };
  let groups = 0;
  // Radio buttons are one group, which Tab enters once and arrows walk, only if they have one name.
  const group = (radios) => {
    radios.setAttribute("role", "radiogroup");
    const question = radios.closest(".pu-card").querySelector(".pu-head");
    if (question) radios.setAttribute("aria-label", question.textContent);
    groups += 1;
    radios.querySelectorAll("input[type=radio]").forEach((radio) => { radio.name = `pu-choice-${groups}`; });
  };
  const once = (node, mark, action) => {
    if (node.dataset[mark]) return;
    node.dataset[mark] = "yes";
    action(node);
  };
  const arm = (card) => {
    once(card, "puKeys", () => card.addEventListener("keydown", keep));
    card.querySelectorAll(".noUi-handle").forEach((handle) => once(handle, "puNamed", name));
    card.querySelectorAll(".widget-radio-box").forEach((radios) => once(radios, "puGroup", group));
  };
  const cards = () => document.querySelectorAll(".pu-card").forEach(arm);
  cards();
  setTimeout(cards, 300); // sliders come a moment after the card that holds them
  if (window.puKeys) return;
  window.puKeys = true;
  document.addEventListener("focusin", (event) => {
    const card = event.target.closest?.(".pu-card");
    if (card) arm(card);
  });
})();
