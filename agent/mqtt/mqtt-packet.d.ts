/** Types of the used part of mqtt-packet 9.0.2, the codec of MQTT.js; the package's own types lack its constants. */
declare module 'mqtt-packet/constants.js' {
  const constants: {
    readonly MQTT5_PUBACK_PUBREC_CODES: Record<number, string>;
  };
  export default constants;
}
