/** Computes the visible part of the map: moves and zooms it within the city. */
export interface View {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Maximum zoom. At this zoom, a tenth of a unit (the map's precision) is 4 px on a screen of 2,000 px. */
const ZOOM_MAX = 40;

export function wholeView(width: number, height: number): View {
  // Margin for the shapes of cameras on the border.
  const rim = Math.max(width, height) * 0.03;
  return { x: -rim, y: -rim, width: width + 2 * rim, height: height + 2 * rim };
}

/** Zooms by a factor (`by` > 1 enlarges); the point (x, y) of the map stays in place. */
export function zoomed(view: View, whole: View, by: number, x: number, y: number): View {
  const width = Math.min(whole.width, Math.max(whole.width / ZOOM_MAX, view.width / by));
  const part = width / view.width;
  return held(
    {
      x: x - (x - view.x) * part,
      y: y - (y - view.y) * part,
      width,
      height: view.height * part,
    },
    whole,
  );
}

/** Moves by ratios of the visible part. */
export function moved(view: View, whole: View, right: number, down: number): View {
  return held({ ...view, x: view.x + right * view.width, y: view.y + down * view.height }, whole);
}

export function centred(view: View, whole: View, x: number, y: number): View {
  return held({ ...view, x: x - view.width / 2, y: y - view.height / 2 }, whole);
}

function held(view: View, whole: View): View {
  return {
    ...view,
    x: Math.min(Math.max(view.x, whole.x), whole.x + whole.width - view.width),
    y: Math.min(Math.max(view.y, whole.y), whole.y + whole.height - view.height),
  };
}
