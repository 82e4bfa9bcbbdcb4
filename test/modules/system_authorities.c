/*
 * system_authorities.c
 *		A libcurl that was built to find the system's certificate authorities elsewhere.
 *
 * To be put before libcurl by LD_PRELOAD: the environment says where they are.  What it
 * does not name, libcurl was built without.
 */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdlib.h>

static char *
place(const char *name)
{
	char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

curl_version_info_data *
curl_version_info(CURLversion version)
{
	static curl_version_info_data info;
	curl_version_info_data *(*real)(CURLversion);

	*(void **) &real = dlsym(dlopen("libcurl.so.4", RTLD_LAZY | RTLD_NOLOAD), "curl_version_info");
	info = *real(version);
	info.capath = place("SYSTEM_AUTHORITIES_DIRECTORY");
	info.cainfo = place("SYSTEM_AUTHORITIES_FILE");
	return &info;
}
