/** Names of files in the state folder through which the agent and commands on the box exchange its mode. */
export const LOCAL_MODE_FILE = 'mode.json';
export const RESUME_REQUEST_FILE = 'resume-request.json';

/** Instruction for vouching on the box, for messages. */
export const VOUCHING = 'run `sudo vigie-root pin` on the box (in a plain run: `vigie pin`)';
