// Draws each figure from the JSON beside it, in the colours of the page, which follow the reader's light or dark.
(function () {
  "use strict";
  function look() {
    var style = getComputedStyle(document.documentElement);
    var ink = style.getPropertyValue("--ink").trim();
    var soft = style.getPropertyValue("--soft").trim();
    return {
      "font.color": ink,
      "modebar.color": soft,
      "modebar.activecolor": ink,
      "modebar.bgcolor": "rgba(0,0,0,0)",
    };
  }
  var places = Array.prototype.slice.call(document.querySelectorAll(".figure"));
  places.forEach(function (place) {
    var figure = JSON.parse(place.nextElementSibling.textContent);
    Plotly.newPlot(place, figure.data, figure.layout, figure.config).then(function () {
      return Plotly.relayout(place, look());
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () {
    places.forEach(function (place) { Plotly.relayout(place, look()); });
  });
})();
