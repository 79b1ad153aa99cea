/** Files of the state folder by which agent and commands on the box speak of its mode. */
export const LOCAL_MODE_FILE = 'mode.json';
export const RESUME_REQUEST_FILE = 'resume-request.json';
