/** The smallest ONNX files (https://onnx.ai/onnx/repo-docs/IR.html): a graph whose outputs are constants. */

const UINT8 = 2;
const ELEMENTS = {
  float32: { code: 1, array: Float32Array },
  int32: { code: 6, array: Int32Array },
  uint8: { code: UINT8, array: Uint8Array },
} as const;

export interface Output {
  readonly name: string;
  readonly type: 'float32' | 'int32' | 'uint8';
  readonly shape: readonly number[];
  /** Value of each element. */
  readonly value: number;
}

/**
 * A model that takes any frame as `rgb` and always returns these outputs; `ids` is the prefix of its tensors' names.
 */
export function constantModel(
  input: { readonly name: string; readonly shape: readonly number[] },
  outputs: readonly Output[],
  ids?: string,
): Buffer {
  // GStreamer's onnxinference names each tensor by the model's metadata.
  const names =
    ids === undefined ? [] : outputs.map(({ name }) => message(14, [text(1, name), text(2, ids + name)]));
  const graph = [
    ...outputs.map(({ name }) => message(1, [text(1, `${name}-value`), text(2, name), text(4, 'Identity')])),
    text(2, 'constants'),
    ...outputs.map(({ name, type, shape, value }) => message(5, tensor(`${name}-value`, type, shape, value))),
    message(11, valueInfo(input.name, UINT8, input.shape)),
    ...outputs.map(({ name, type, shape }) => message(12, valueInfo(name, ELEMENTS[type].code, shape))),
  ];
  return Buffer.concat([number(1, 8), message(7, graph), message(8, [number(2, 13)]), ...names]);
}

function tensor(name: string, type: Output['type'], shape: readonly number[], value: number): Buffer[] {
  const count = shape.reduce((product, side) => product * side, 1);
  const { code, array } = ELEMENTS[type];
  const raw = Buffer.from(new array(count).fill(value).buffer);
  return [...shape.map((side) => number(1, side)), number(2, code), text(8, name), bytes(9, raw)];
}

function valueInfo(name: string, element: number, shape: readonly number[]): Buffer[] {
  const dims = shape.map((side) => message(1, [number(1, side)]));
  return [text(1, name), message(2, [message(1, [number(1, element), message(2, dims)])])];
}

function varint(value: number): Buffer {
  const out: number[] = [];
  let remaining = value;
  for (; remaining > 127; remaining = Math.floor(remaining / 128)) out.push((remaining % 128) + 128);
  return Buffer.from([...out, remaining]);
}

function number(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function bytes(field: number, content: Uint8Array): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(content.length), content]);
}

function text(field: number, content: string): Buffer {
  return bytes(field, Buffer.from(content));
}

function message(field: number, parts: readonly Buffer[]): Buffer {
  return bytes(field, Buffer.concat(parts));
}
