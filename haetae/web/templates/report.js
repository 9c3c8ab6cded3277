(() => {
  const form = document.getElementById("filter");
  const cards = Array.from(document.querySelectorAll("article[data-generator]"));
  if (!form) return;
  const said = document.getElementById("shown");
  const none = document.getElementById("none");
  const apply = () => {
    const wanted = { generator: form.elements.generator.value, language: form.elements.language.value };
    let shown = 0;
    for (const card of cards) {
      const fits = Object.entries(wanted).every(([key, value]) => !value || card.dataset[key] === value);
      card.hidden = !fits;
      shown += fits;
    }
    said.textContent = `${shown} of ${cards.length} shown`;
    none.hidden = shown > 0;
  };
  form.addEventListener("change", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
})();
