/* See http.h. */
#include "ctl/http.h"

#include "ctl/base/format.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>

enum { CONNECT_SECONDS = 5, TIMEOUT_SECONDS = 60, ERROR_BODY_MAX = 1 << 20 };

int ctl_http_init(struct ctl_http *http, const char *socket, const char *url)
{
    *http = (struct ctl_http){.socket = socket, .url = url};
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return -1;
    http->curl = curl_easy_init();
    return http->curl ? 0 : -1;
}

void ctl_http_deinit(struct ctl_http *http)
{
    if (http->curl)
        curl_easy_cleanup(http->curl);
    http->curl = NULL;
    curl_global_cleanup();
}

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
    struct ctl_http *http = data;
    size_t len = size * n;
    long status = 0;
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        size_t room = ERROR_BODY_MAX - http->error_body->len;
        ctl_text_append(http->error_body, bytes, len < room ? len : room);
        return len;
    }
    if (http->sink->receive(http->sink->data, bytes, len)) {
        http->stopped = true;
        return 0; /* CURLE_WRITE_ERROR */
    }
    http->received += len;
    return len;
}

int64_t ctl_http_length(const struct ctl_http *http)
{
    curl_off_t length = -1;
    curl_easy_getinfo(http->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length;
}

/* Without a length or chunks only the end of the connection ends the body, so a truncated one looks complete. */
static bool has_length_or_chunks(const struct ctl_http *http)
{
    struct curl_header *header;
    return ctl_http_length(http) >= 0 ||
           !curl_easy_header(http->curl, "Transfer-Encoding", 0, CURLH_HEADER, -1, &header);
}

static const char *advice(const struct ctl_http *http, CURLcode code, long os_error)
{
    if (http->socket && (os_error == EACCES || os_error == EPERM))
        return "is this user a member of the group of the socket (usually timesliced)? usermod -aG timesliced USER";
    if (http->socket && os_error == ENOENT)
        return "is timesliced running, with this control.socket? (systemctl status timesliced; --socket PATH)";
    if (http->socket && os_error == ECONNREFUSED)
        return "the socket exists, but no daemon listens on it: is timesliced running?";
    if (code == CURLE_OPERATION_TIMEDOUT)
        return "the daemon did not respond in time";
    if (code == CURLE_COULDNT_CONNECT && !http->socket)
        return "is timesliced running, with control.http set to this address?";
    return NULL;
}

static enum ctl_http_result explain(const struct ctl_http *http, CURLcode code, const char *detail,
                                    struct ctl_text *problem)
{
    const char *target = http->socket ? http->socket : http->url;
    const char *reason = *detail ? detail : curl_easy_strerror(code);
    if (http->stopped)
        return CTL_HTTP_STOPPED;
    if (code == CURLE_OUT_OF_MEMORY) {
        ctl_text_puts(problem, "out of memory");
        return CTL_HTTP_MEMORY;
    }
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
        ctl_text_printf(problem, "--url: %s is not a URL such as http://127.0.0.1:8138", target);
        return CTL_HTTP_BAD_URL;
    }
    long status = 0, os_error = 0;
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status) {
        ctl_text_printf(problem, "the response broke off after %s: %s", ctl_size((double)http->received).text, reason);
        return CTL_HTTP_BROKEN;
    }
    curl_easy_getinfo(http->curl, CURLINFO_OS_ERRNO, &os_error);
    if (http->socket && code == CURLE_COULDNT_CONNECT && os_error)
        reason = strerror((int)os_error);
    const char *hint = advice(http, code, os_error);
    ctl_text_printf(problem, "cannot reach the daemon at %s: %s%s%s", target, reason, hint ? "\n  " : "",
                    hint ? hint : "");
    return CTL_HTTP_UNREACHED;
}

static void set_options(struct ctl_http *http, const struct ctl_request *request, const char *address, char *detail)
{
    CURL *curl = http->curl;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, address);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_DEFAULT_PROTOCOL, "http");
    if (http->socket) {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, http->socket);
        curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* ignore $http_proxy: the socket is local */
    }
    if (!strcmp(request->method, "POST")) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
    }
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L); /* a timeout between bytes, not for the response */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, request->timeout ? request->timeout : (long)TIMEOUT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, http);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
}

enum ctl_http_result ctl_http_request(struct ctl_http *http, const struct ctl_request *request,
                                      const struct ctl_sink *sink, long *ret_status, struct ctl_text *error_body,
                                      struct ctl_text *problem)
{
    struct ctl_text address = {0};
    char detail[CURL_ERROR_SIZE] = "";

    if (http->socket && strlen(http->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        ctl_text_printf(problem, "cannot reach the daemon at %s: the path of a socket has at most %zu bytes",
                        http->socket, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
        return CTL_HTTP_UNREACHED;
    }
    const char *base = http->socket ? "http://localhost" : http->url;
    size_t len = strlen(base);
    while (len && base[len - 1] == '/')
        len--;
    ctl_text_append(&address, base, len);
    ctl_text_printf(&address, "%s%s%s", request->path, *request->query ? "?" : "", request->query);

    http->sink = sink;
    http->error_body = error_body;
    http->received = 0;
    http->stopped = false;
    ctl_text_reset(error_body);
    set_options(http, request, ctl_text_str(&address), detail);
    CURLcode code = address.failed ? CURLE_OUT_OF_MEMORY : curl_easy_perform(http->curl);

    enum ctl_http_result result = CTL_HTTP_DONE;
    long status = 0;
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && status == 200 && !has_length_or_chunks(http)) {
        ctl_text_puts(problem, "the response has neither a length nor chunks, so it may be incomplete");
        result = CTL_HTTP_BROKEN;
    } else if (code != CURLE_OK && (!status || status == 200)) {
        result = explain(http, code, detail, problem);
    } else {
        *ret_status = status; /* an error response counts even if its body broke off */
    }
    curl_easy_setopt(http->curl, CURLOPT_ERRORBUFFER, NULL);
    ctl_text_deinit(&address);
    return result;
}
