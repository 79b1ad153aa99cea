/**
 * Accelerators with presets (systemd/accelerators), with their ids and requirements. docs/guide/accelerators.md cites
 * the source of each fact. No such device has been tested here.
 */
import { type DriverProblem, hailoProblems } from '../../base/hailo-driver.ts';

/** Path below the root. */
export const DROP_IN_DIR = 'etc/systemd/system/vigie-vision.service.d';

export interface AcceleratorPreset {
  readonly name: string;
  /** Folder in systemd/accelerators. */
  readonly folder: string;
  /** `vendor:device` in lower-case hexadecimal → model. */
  readonly pci: Readonly<Record<string, string>>;
  readonly usb: Readonly<Record<string, string>>;
  /** `compatible` of the board's device tree → chip. */
  readonly chips: Readonly<Record<string, string>>;
  /** Driver of an accelerator within a chip; its device nodes reveal it. */
  readonly driver: string;
  /** Device nodes below /dev, any of which is enough; `*` matches digits. Empty: opened through libusb. */
  readonly nodes: readonly string[];
  /** Other driver of the same device, with which the element does not work. */
  readonly otherDriver?: { readonly name: string; readonly nodes: readonly string[] };
  /** Compares driver, node and library in more detail than `driver` and `nodes`, below a root. */
  readonly problems?: (root: string) => DriverProblem[];
  /** Group of the nodes, if it is not one that every Debian has. */
  readonly group?: string;
  readonly element: string;
  /** Reason why the element cannot run behind vision's interface, whatever is installed; absent if it could. */
  readonly obstacle?: string;
  readonly dropIn: string;
  readonly driverFix: string;
  readonly elementFix: string;
}

const NO_IDS = {};

const CORAL = {
  folder: 'coral',
  chips: NO_IDS,
  driver: 'apex',
  element: 'tfliteedgetpuinference',
  elementFix:
    'build the tflite plugin of gst-plugins-bad with libedgetpu, Debian has none (docs/guide/accelerators.md)',
} as const;

export const PRESETS: readonly AcceleratorPreset[] = [
  {
    name: 'hailo',
    folder: 'hailo',
    // hailo-ai/hailort-drivers, common/pcie_common.h; a Hailo-8L has the number of a Hailo-8.
    pci: { '1e60:2864': 'Hailo-8 or 8L', '1e60:45c4': 'Hailo-10H' },
    usb: NO_IDS,
    chips: NO_IDS,
    driver: 'hailo_pci',
    nodes: ['hailo*', 'h1x-*'],
    problems: hailoProblems,
    element: 'hailonet',
    dropIn: '50-hailo.conf',
    driverFix: 'sudo apt install hailo-all (Hailo-10H: hailo-h10-all), then restart the board',
    elementFix: 'sudo apt install hailo-all (Hailo-10H: hailo-h10-all), which brings hailonet',
  },
  {
    ...CORAL,
    name: 'coral',
    // google/gasket-driver, apex_driver.c
    pci: { '1ac1:089a': 'Coral Edge TPU' },
    usb: NO_IDS,
    nodes: ['apex_*'],
    group: 'apex',
    dropIn: '50-coral.conf',
    driverFix: 'install gasket-dkms (of google/gasket-driver, Debian has none), then restart the board',
  },
  {
    ...CORAL,
    name: 'coral-usb',
    pci: NO_IDS,
    // google-coral/libedgetpu: the first before its firmware is loaded, the second afterwards.
    usb: { '1a6e:089a': 'Coral USB Accelerator, firmware not loaded', '18d1:9302': 'Coral USB Accelerator' },
    nodes: [],
    group: 'plugdev',
    dropIn: '50-coral-usb.conf',
    driverFix: 'none is needed',
  },
  {
    name: 'jetson',
    folder: 'jetson',
    pci: NO_IDS,
    usb: NO_IDS,
    chips: {
      'nvidia,tegra194': 'NVIDIA Jetson Xavier',
      'nvidia,tegra234': 'NVIDIA Jetson Orin',
      'nvidia,tegra264': 'NVIDIA Jetson Thor',
    },
    driver: 'nvgpu',
    nodes: ['nvmap'],
    element: 'nvinfer',
    obstacle:
      'nvinfer takes and answers with NvDsBatchMeta, which vision does not read; an ONNX Runtime with TensorRT can be installed instead (backend: onnxruntime-library)',
    dropIn: '50-jetson.conf',
    driverFix: 'flash JetPack, whose kernel has the driver',
    elementFix: 'install DeepStream from NVIDIA',
  },
  {
    name: 'rk3588',
    folder: 'rk3588',
    pci: NO_IDS,
    usb: NO_IDS,
    chips: { 'rockchip,rk3588': 'Rockchip RK3588', 'rockchip,rk3588s': 'Rockchip RK3588S' },
    driver: 'rocket',
    nodes: ['accel/accel*'],
    otherDriver: { name: 'rknpu', nodes: ['dri/renderD*', 'rknpu'] },
    element: 'tfliteexternalinference',
    obstacle: 'a configuration cannot name tfliteexternalinference yet',
    dropIn: '50-rk3588.conf',
    driverFix: 'take Linux 6.18 or later with its driver rocket, and the NPU switched on in the device tree',
    elementFix:
      'build the tflite plugin of gst-plugins-bad 1.30 and take Mesa’s libteflon.so (docs/guide/accelerators.md)',
  },
];
