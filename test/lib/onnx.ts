/** The smallest ONNX files (https://onnx.ai/onnx/repo-docs/IR.html): a graph whose outputs are constants. */

const FLOAT = 1;
const UINT8 = 2;
const INT32 = 6;

export interface Output {
  readonly name: string;
  readonly type: 'float32' | 'int32';
  readonly shape: readonly number[];
  /** Each element. */
  readonly value: number;
}

/** A model that takes any frame as `rgb` and always gives these. */
export function constantModel(
  input: { readonly name: string; readonly shape: readonly number[] },
  outputs: readonly Output[],
): Buffer {
  const graph = [
    ...outputs.map(({ name }) => message(1, [text(1, `${name}-value`), text(2, name), text(4, 'Identity')])),
    text(2, 'constants'),
    ...outputs.map(({ name, type, shape, value }) => message(5, tensor(`${name}-value`, type, shape, value))),
    message(11, valueInfo(input.name, UINT8, input.shape)),
    ...outputs.map(({ name, type, shape }) =>
      message(12, valueInfo(name, type === 'int32' ? INT32 : FLOAT, shape)),
    ),
  ];
  return Buffer.concat([number(1, 8), message(7, graph), message(8, [number(2, 13)])]);
}

function tensor(name: string, type: Output['type'], shape: readonly number[], value: number): Buffer[] {
  const count = shape.reduce((product, side) => product * side, 1);
  const raw = Buffer.from(
    type === 'int32' ? new Int32Array(count).fill(value).buffer : new Float32Array(count).fill(value).buffer,
  );
  const element = type === 'int32' ? INT32 : FLOAT;
  return [...shape.map((side) => number(1, side)), number(2, element), text(8, name), bytes(9, raw)];
}

function valueInfo(name: string, element: number, shape: readonly number[]): Buffer[] {
  const dims = shape.map((side) => message(1, [number(1, side)]));
  return [text(1, name), message(2, [message(1, [number(1, element), message(2, dims)])])];
}

function varint(value: number): Buffer {
  const out: number[] = [];
  let left = value;
  for (; left > 127; left = Math.floor(left / 128)) out.push((left % 128) + 128);
  return Buffer.from([...out, left]);
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
