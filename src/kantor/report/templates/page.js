/* Starts everything once the page is read. */

const data = JSON.parse(document.getElementById("data").textContent);

for (const run of Object.values(data)) {
  for (const [name, values] of Object.entries(run.charts)) {
    readable(document.querySelector(`[data-chart="${CSS.escape(name)}"]`), values);
  }
}
for (const section of document.querySelectorAll(".explorer")) explore(section, data[section.dataset.run].plans, data[section.dataset.run].probe);
for (const section of document.querySelectorAll(".confusion")) confuse(section, data[section.dataset.run].confusion);

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", () => {
    const code = button.previousElementSibling;
    getSelection().selectAllChildren(code);
    // The clipboard's newer interface is closed to pages opened from disk in some browsers.
    const copied = document.execCommand("copy");
    button.textContent = copied ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
