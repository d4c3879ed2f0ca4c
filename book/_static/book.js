// What is wider than its box scrolls sideways: let the keyboard reach it, as the theme does for code.
(() => {
  "use strict";

  const BOXES = ".pst-scrollable-table-container, .bd-article table, .cell_output .output, div.math, " +
    'mjx-container[display="true"], .bd-article p > mjx-container';

  function reach() {
    for (const box of document.querySelectorAll(BOXES)) {
      if (box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX === "auto") box.tabIndex = 0;
      else if (box.tabIndex === 0) box.removeAttribute("tabindex");
    }
  }

  window.addEventListener("load", () => {
    reach();
    window.MathJax?.startup?.promise?.then(reach);
    let waiting;
    window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(reach, 200); });
  });
})();
