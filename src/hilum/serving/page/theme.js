// Owns light and dark: the system's wish, or the reader's own, kept in this browser.
// A classic script, loaded before the first paint, so that no page flashes in the wrong one.

(() => {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function kept() {
    try {
      return localStorage.getItem("hilum-theme");
    } catch {
      return null; // storage is forbidden: the system's wish holds
    }
  }

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  }

  const wish = kept();
  if (wish === "light" || wish === "dark") root.dataset.theme = wish;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => {
      button.textContent = isDark() ? "Light" : "Dark";
      button.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
    };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem("hilum-theme", root.dataset.theme);
      } catch {
        // Not kept; it holds until the page is left.
      }
      name();
    });
    system.addEventListener("change", name);
    name();
  });
})();
