// Keys for buttons and links that name theirs, and "choose all". Everything works without it.
"use strict";

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (event.key === "/") {
    const search = document.getElementById("q");
    if (search) {
      event.preventDefault();
      search.focus();
    }
    return;
  }
  // Arrows scroll what can be scrolled sideways.
  if (event.key.startsWith("Arrow") && event.target.closest(".scroll")) return;
  const wanted = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (wanted) {
    event.preventDefault();
    wanted.click();
  }
});

document.addEventListener("change", (event) => {
  const name = event.target.dataset.ticks;
  if (!name) return;
  for (const box of event.target.form.elements) {
    if (box.name === name) box.checked = event.target.checked;
  }
});

// A form that is sent twice by an impatient key would be refused the second time.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.hasAttribute("hx-get") || form.hasAttribute("hx-post")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
