/**
 * Runs something, and gives what reached the process as an uncaught exception meanwhile. `node:test` would call the test failed;
 * so does this, when anything comes that the test does not look at.
 */
export async function capturingUncaught(body: (caught: readonly unknown[]) => Promise<void>): Promise<void> {
  const caught: unknown[] = [];
  process.setUncaughtExceptionCaptureCallback((error) => {
    caught.push(error);
  });
  try {
    await body(caught);
  } finally {
    process.setUncaughtExceptionCaptureCallback(null);
  }
}
