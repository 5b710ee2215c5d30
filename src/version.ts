/** The released version of this package; a test holds it and package.json in step. */
export const version = '0.1.0';
