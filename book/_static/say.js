/* What scripts say, in the language of the page: bookSay("{n} pixels", {n: 3}). Pages in Japanese bring words.js. */
"use strict";

window.bookSay = (text, values = {}) =>
  (window.bookWords?.[text] ?? text).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
