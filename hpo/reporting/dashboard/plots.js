// Stands before optuna-dashboard's script and between it and plotly: what nobody sees is not drawn.
function hpoPlotly(plotly) {
  "use strict";

  // The timeline shows its newest hundred trials, and has a bar for each of the others out of sight.
  function inSight(trace, lowest) {
    const seen = trace.y.map((number) => number >= lowest);
    const only = (values) => values.filter((_, place) => seen[place]);
    return { ...trace, x: only(trace.x), y: only(trace.y), base: only(trace.base), text: only(trace.text) };
  }

  // All bars are drawn once somebody moves or zooms it.
  function drawTimeline(id, traces, layout) {
    const element = document.getElementById(id);
    element.hpoDrawAll = () => plotly.react(id, traces, layout);
    if (element.hpoIsWhole) return element.hpoDrawAll();
    const shown = traces.map((trace) => inSight(trace, layout.yaxis.range[0]));
    return plotly.react(id, shown, layout).then((drawn) => {
      if (element.hpoIsWhole === undefined) {
        element.hpoIsWhole = false;
        element.once("plotly_relayout", () => {
          element.hpoIsWhole = true;
          element.hpoDrawAll();
        });
      }
      return drawn;
    });
  }

  // Trials without a curve are lines without points, thousands of them in a large study.
  const ways = {
    "graph-timeline": drawTimeline,
    "graph-intermediate-values": (id, traces, layout) =>
      plotly.react(id, traces.filter((trace) => trace.x.length > 0), layout),
  };

  function react(id, traces, layout, ...rest) {
    const way = traces && traces.length > 0 ? ways[id] : undefined;
    if (way !== undefined) {
      try {
        return way(id, traces, layout);
      } catch (error) {
        console.warn("hpo draws this plot as optuna-dashboard does:", error);
      }
    }
    return plotly.react(id, traces, layout, ...rest);
  }

  return Object.assign(Object.create(plotly), { react });
}
