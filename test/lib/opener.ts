/**
 * Process that opens the pipeline of a camera repeatedly: `live|replay OPENINGS`. Prints the number of pictures of each
 * opening, which its source has ready at once.
 */
import { systemClock } from '../../agent/base/clock.ts';
import { pipelineText } from '../../agent/vision/camera/pipeline.ts';
import { NativePipeline } from '../../agent/vision/native/gstreamer.ts';

const [mode, openings] = process.argv.slice(2);
const sourceText = 'videotestsrc num-buffers=8 ! video/x-raw,format=I420,width=64,height=48,framerate=10/1';
const text = pipelineText({ sourceText, fps: null, live: mode === 'live', paced: false });
const pipeline = new NativePipeline(text, systemClock);
for (let opening = 0; opening < Number(openings); opening += 1) {
  pipeline.open();
  let pictures = 0;
  while ((await pipeline.look()).picture !== null) pictures += 1;
  await pipeline.close();
  process.stdout.write(`${pictures}\n`);
}
await pipeline.dispose();
