// Wraps the plotly of optuna-dashboard's script, so that it does not draw what is not visible.
function hpoPlotly(plotly) {
  "use strict";

  // The timeline shows the newest hundred trials, but has a bar for every trial.
  function onlyVisible(trace, lowest) {
    const visible = trace.y.map((number) => number >= lowest);
    const only = (values) => values.filter((_, place) => visible[place]);
    return { ...trace, x: only(trace.x), y: only(trace.y), base: only(trace.base), text: only(trace.text) };
  }

  // All bars are drawn once the user pans or zooms.
  function drawTimeline(id, traces, layout) {
    const element = document.getElementById(id);
    element.hpoDrawAll = () => plotly.react(id, traces, layout);
    if (element.hpoIsWhole) return element.hpoDrawAll();
    const shown = traces.map((trace) => onlyVisible(trace, layout.yaxis.range[0]));
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

  // Trials without a curve are lines without points: thousands in a large study.
  const replacements = {
    "graph-timeline": drawTimeline,
    "graph-intermediate-values": (id, traces, layout) =>
      plotly.react(id, traces.filter((trace) => trace.x.length > 0), layout),
  };

  function react(id, traces, layout, ...rest) {
    const replacement = traces && traces.length > 0 ? replacements[id] : undefined;
    if (replacement !== undefined) {
      try {
        return replacement(id, traces, layout);
      } catch (error) {
        console.warn("hpo draws this plot like optuna-dashboard, because of an error:", error);
      }
    }
    return plotly.react(id, traces, layout, ...rest);
  }

  return Object.assign(Object.create(plotly), { react });
}
