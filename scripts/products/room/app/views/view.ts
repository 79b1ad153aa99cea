/** Computes the visible part of the map: moves and zooms it within the city. */
export interface View {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Maximum zoom. At this zoom, a tenth of a unit (the map's precision) is 4 px on a screen of 2,000 px. */
const ZOOM_MAX = 40;

export function cityView(width: number, height: number): View {
  // Margin for the shapes of cameras on the border.
  const rim = Math.max(width, height) * 0.03;
  return { x: -rim, y: -rim, width: width + 2 * rim, height: height + 2 * rim };
}

/** Zooms by a factor (`by` > 1 enlarges); the point (x, y) of the map stays in place. */
export function zoomed(view: View, full: View, by: number, x: number, y: number): View {
  const width = Math.min(full.width, Math.max(full.width / ZOOM_MAX, view.width / by));
  const part = width / view.width;
  return clampView(
    {
      x: x - (x - view.x) * part,
      y: y - (y - view.y) * part,
      width,
      height: view.height * part,
    },
    full,
  );
}

/** Moves by ratios of the visible part. */
export function panned(view: View, full: View, right: number, down: number): View {
  return clampView({ ...view, x: view.x + right * view.width, y: view.y + down * view.height }, full);
}

export function centred(view: View, full: View, x: number, y: number): View {
  return clampView({ ...view, x: x - view.width / 2, y: y - view.height / 2 }, full);
}

function clampView(view: View, full: View): View {
  return {
    ...view,
    x: Math.min(Math.max(view.x, full.x), full.x + full.width - view.width),
    y: Math.min(Math.max(view.y, full.y), full.y + full.height - view.height),
  };
}
