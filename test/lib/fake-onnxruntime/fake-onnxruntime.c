/*
 * A libonnxruntime for tests: the real one, named by REAL, with faults and a TensorRT that is none. FAKE_ONNXRUNTIME in
 * the environment names what it plays, in words:
 *   old              is version 1.16.3
 *   tensorrt         claims to have TensorRT, which runs the model as the CPU does
 *   build-fails      its engine cannot be built
 *   slow-build       its engine takes two seconds
 *   hang crash error what the second run does
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <onnxruntime_c_api.h>

static OrtApi api;
static const OrtApi *real;
static int is_engine, runs;

static int plays(const char *word) {
	const char *words = getenv("FAKE_ONNXRUNTIME");
	return words && strstr(words, word) != NULL;
}

static OrtStatus *create_options(OrtTensorRTProviderOptionsV2 **out) {
	static char options;
	*out = (OrtTensorRTProviderOptionsV2 *)&options;
	return NULL;
}

/* Refuses a folder that it could not write to. */
static OrtStatus *update_options(OrtTensorRTProviderOptionsV2 *options, const char *const *keys, const char *const *values, size_t count) {
	(void)options;
	for(size_t i = 0; i < count; i++)
		if(!strcmp(keys[i], "trt_engine_cache_path") && access(values[i], W_OK)) return real->CreateStatus(ORT_FAIL, "no folder for the engine");
	return NULL;
}

static void release_options(OrtTensorRTProviderOptionsV2 *options) {
	(void)options;
}

static OrtStatus *append(OrtSessionOptions *options, const OrtTensorRTProviderOptionsV2 *own) {
	(void)options;
	(void)own;
	is_engine = 1;
	return NULL;
}

static OrtStatus *create_session(const OrtEnv *env, const void *bytes, size_t length, const OrtSessionOptions *options, OrtSession **out) {
	int engine = is_engine;
	is_engine = 0;
	if(engine && plays("slow-build")) sleep(2);
	if(engine && plays("build-fails")) return real->CreateStatus(ORT_FAIL, "no kernel image\nis available");
	return real->CreateSessionFromArray(env, bytes, length, options, out);
}

static OrtStatus *run(OrtSession *session, const OrtRunOptions *options, const char *const *in, const OrtValue *const *inputs,
	size_t input_count, const char *const *out, size_t output_count, OrtValue **outputs) {
	if(++runs > 1) {
		if(plays("hang")) for(;;) pause();
		if(plays("crash")) abort();
		if(plays("error")) return real->CreateStatus(ORT_FAIL, "device lost");
	}
	return real->Run(session, options, in, inputs, input_count, out, output_count, outputs);
}

static OrtStatus *providers(char ***out, int *count) {
	static char *names[] = { "TensorrtExecutionProvider", "CPUExecutionProvider" };
	*out = names;
	*count = 2;
	return NULL;
}

static OrtStatus *release_providers(char **names, int count) {
	(void)names;
	(void)count;
	return NULL;
}

static const OrtApiBase *real_base(void) {
	static const OrtApiBase *base;
	if(!base) {
		void *library = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
		const OrtApiBase *(*get)(void) = (const OrtApiBase *(*)(void))dlsym(library, "OrtGetApiBase");
		base = get();
	}
	return base;
}

static const OrtApi *get_api(uint32_t version) {
	if(plays("old")) return NULL;
	real = real_base()->GetApi(version);
	/* Version 17 ends where the header's newer functions begin; none of those is called. */
	memcpy(&api, real, offsetof(OrtApi, SessionOptionsAppendExecutionProvider_OpenVINO_V2) + sizeof(void *));
	api.Run = run;
	api.CreateSessionFromArray = create_session;
	if(!plays("tensorrt")) return &api;
	api.CreateTensorRTProviderOptions = create_options;
	api.UpdateTensorRTProviderOptions = update_options;
	api.ReleaseTensorRTProviderOptions = release_options;
	api.SessionOptionsAppendExecutionProvider_TensorRT_V2 = append;
	api.GetAvailableProviders = providers;
	api.ReleaseAvailableProviders = release_providers;
	return &api;
}

static const char *version_of(void) {
	return plays("old") ? "1.16.3" : real_base()->GetVersionString();
}

#ifndef NO_BASE
const OrtApiBase *OrtGetApiBase(void) {
	static const OrtApiBase base = { get_api, version_of };
	return &base;
}
#endif
