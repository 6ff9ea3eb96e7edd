// The page's texts: one file of them a language (../strings), by the browser's language, English where it has none.
(() => {
  const hf = window.hfvae;
  const spoken = navigator.language; // as Gradio, which writes the names of tabs, has it
  const language = [spoken, spoken.split("-")[0]].find((name) => name in hf.strings) ?? "en";
  const texts = hf.strings[language];
  document.documentElement.lang = language;

  // The text of a key; {name} in it is replaced by values.name.
  hf.t = (key, values = {}) => texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  // Numbers as the language writes them. Making a format takes longer than using it.
  const formats = new Map(); // places -> format
  hf.number = (value, places = 0) => {
    if (!formats.has(places)) {
      formats.set(places, new Intl.NumberFormat(language, { minimumFractionDigits: places, maximumFractionDigits: places }));
    }
    return formats.get(places).format(value);
  };

  // Fill in the texts of a widget's markup: data-t for the content, data-t-label and data-t-title for attributes.
  hf.translate = (element) => {
    for (const it of element.querySelectorAll("[data-t]")) it.textContent = hf.t(it.dataset.t);
    for (const it of element.querySelectorAll("[data-t-label]")) it.ariaLabel = hf.t(it.dataset.tLabel);
    for (const it of element.querySelectorAll("[data-t-title]")) it.title = hf.t(it.dataset.tTitle);
  };
})();
