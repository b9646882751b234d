/* Preloaded by `make asan`. Modules stay mapped until the process ends, so
 * that a leak found at exit still has a stack with names in it.
 */
int dlclose(void *handle);

int dlclose(void *handle) {
  (void)handle; /* nothing to let go of: that is the purpose */
  return 0;
}
