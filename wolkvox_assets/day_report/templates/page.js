(() => {
  const root = document.documentElement;
  const speak = (language) => {
    root.lang = language;
    for (const button of document.querySelectorAll("[data-language]"))
      button.setAttribute("aria-pressed", String(button.dataset.language === language));
  };
  const remembered = () => { try { return localStorage.getItem("language"); } catch { return null; } };
  speak(remembered() === "en" ? "en" : "es");
  for (const button of document.querySelectorAll("[data-language]"))
    button.addEventListener("click", () => {
      speak(button.dataset.language);
      try { localStorage.setItem("language", button.dataset.language); } catch { /* a page from a file may not */ }
    });

  const value = (row, place) => {
    const cell = row.cells[place];
    return cell.dataset.value ?? cell.textContent;
  };
  const compare = (a, b) => {
    const difference = Number(a) - Number(b);
    return Number.isNaN(difference) ? a.localeCompare(b, "es") : difference;
  };
  for (const table of document.querySelectorAll("table.sorts"))
    for (const title of table.tHead.rows[0].cells)
      title.addEventListener("click", () => {
        const up = title.ariaSort ? title.ariaSort !== "ascending" : !title.classList.contains("n");
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        title.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows];
        const place = title.cellIndex;
        rows.sort((a, b) => (up ? 1 : -1) * compare(value(a, place), value(b, place)));
        table.tBodies[0].append(...rows);
      });
})();
