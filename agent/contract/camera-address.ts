/** What a camera is called where its password must not be. */

/** The source of a camera as an order names it: without user, password and query. */
export function cameraAddress(source: string): string {
  const [, scheme, host = '', path = ''] = /^(rtsps?:\/\/)(?:[^/]*@)?([^/?#]*)([^?#]*)/.exec(source) ?? [];
  if (scheme === undefined) return source;
  // Cheap cameras take the login in the path: /user=admin_password=…
  return `${scheme}${host}${path.replace(/\/?(?:user|pass\w{0,16}|pwd|token)=.*$/is, '')}`;
}
