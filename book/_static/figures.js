/* What the interactive figures share: gsFigure(name, build) puts an element of class "gs-live" before the picture of every
 * figure of class "gs-NAME" as soon as the page's parser has reached its caption, so that nothing moves afterwards. */
(() => {
  "use strict";

  document.documentElement.classList.add("gs-scripts"); // hides the still pictures

  window.gsFigure = (name, build) => {
    let number = 0;
    const look = () => {
      for (const caption of document.querySelectorAll(`figure.gs-${name} figcaption`)) {
        const figure = caption.parentElement;
        if (figure.querySelector(".gs-live")) continue;
        const root = document.createElement("div");
        root.className = "gs-live";
        figure.prepend(root);
        build(root, number++);
      }
    };
    const parser = new MutationObserver(look);
    parser.observe(document, {childList: true, subtree: true});
    document.addEventListener("DOMContentLoaded", () => { parser.disconnect(); look(); });
  };
})();
