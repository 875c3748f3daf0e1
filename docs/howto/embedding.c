/* Asks an exported detector in C: TensorFlow's C API, no Python.

   usage: embedding FOLDER SIGNATURE < rows

   FOLDER is one version, such as saved_models/ecg5000/1. Rows are lines of cells between tabs. For
   signatures with the input x all lines are numbers: those of x, and for decide the threshold. For
   those of tables the first line names the inputs, an empty cell is missing, and a date is its
   seconds since 1970, UTC. Writes all outputs of the signature for each row: a line of names, those
   of several numbers a row with their places behind, and a line of cells for each row. */

#define _GNU_SOURCE
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

enum { MOST = 4096 }; /* rows of a request, as export_saved_model allows, and columns */

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "error: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  exit(1);
}

static void check(TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) fail("%s: %s", what, TF_Message(status));
}

static void *zeros(size_t count, size_t size) {
  void *memory = calloc(count ? count : 1, size);
  if (memory == NULL) fail("out of memory");
  return memory;
}

/* What the signatures are called in the graph stands in a message of Protocol Buffers, of which a
   reader of fields is all that is needed. */
typedef struct {
  const uint8_t *at, *end;
} Bytes;

static uint64_t number_of(Bytes *from) {
  uint64_t value = 0;
  for (int shift = 0; from->at < from->end && shift < 64; shift += 7) {
    uint8_t byte = *from->at++;
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return value;
  }
  fail("the signatures cannot be read");
  return 0;
}

/* The next field of a message: its number, and its content if that is bytes; 0 at the end. */
static int next_field(Bytes *from, Bytes *content) {
  if (from->at >= from->end) return 0;
  uint64_t tag = number_of(from), size = 0;
  switch (tag & 7) {
    case 0: number_of(from); break;
    case 1: size = 8; break;
    case 2: size = number_of(from); break;
    case 5: size = 4; break;
    default: fail("the signatures cannot be read");
  }
  if (size > (uint64_t)(from->end - from->at)) fail("the signatures cannot be read");
  *content = (Bytes){from->at, from->at + size};
  from->at += size;
  return (int)(tag >> 3);
}

static int equal(Bytes bytes, const char *text) {
  size_t size = bytes.end - bytes.at;
  return size == strlen(text) && memcmp(bytes.at, text, size) == 0;
}

/* The next key and value of the map that is field `number` of a message; 0 at its end. */
static int next_entry(Bytes *message, int number, Bytes *key, Bytes *value) {
  Bytes found, content;
  for (int field; (field = next_field(message, &found));) {
    if (field != number) continue;
    *key = *value = (Bytes){NULL, NULL};
    for (int part; (part = next_field(&found, &content));) {
      if (part == 1) *key = content;
      if (part == 2) *value = content;
    }
    return 1;
  }
  return 0;
}

/* The value of a key in such a map; empty if there is none. */
static Bytes entry(Bytes message, int number, const char *wanted) {
  Bytes key, value;
  while (next_entry(&message, number, &key, &value))
    if (equal(key, wanted)) return value;
  return (Bytes){NULL, NULL};
}

/* The tensor of an input (1) or output (2) of a signature; its operation is NULL if there is none. */
static TF_Output tensor_of(TF_Graph *graph, Bytes signature, int side, const char *name) {
  Bytes info = entry(signature, side, name), content;
  char operation[512] = "";
  for (int field; (field = next_field(&info, &content));)
    if (field == 1) snprintf(operation, sizeof operation, "%.*s", (int)(content.end - content.at), content.at);
  char *colon = strchr(operation, ':');
  if (colon == NULL) return (TF_Output){NULL, 0};
  *colon = 0;
  return (TF_Output){TF_GraphOperationByName(graph, operation), atoi(colon + 1)};
}

/* The names of the inputs (1) or outputs (2) of a signature; how many there are. */
static int names_of(Bytes signature, int side, char **names, int most) {
  int count = 0;
  for (Bytes key, value; next_entry(&signature, side, &key, &value); count++) {
    if (count == most) fail("the signature has more than %d inputs or outputs", most);
    names[count] = strndup((const char *)key.at, key.end - key.at);
    if (names[count] == NULL) fail("out of memory");
  }
  return count;
}

typedef struct {
  TF_Output place;
  TF_Tensor *values;
  TF_DataType type;
  int64_t width; /* cells of a row */
} Input;

static Input input_of(TF_Graph *graph, Bytes signature, const char *name, int64_t rows) {
  TF_Status *status = TF_NewStatus();
  Input input = {tensor_of(graph, signature, 1, name), NULL, TF_FLOAT, 1};
  if (input.place.oper == NULL) fail("the signature has no input %s", name);
  input.type = TF_OperationOutputType(input.place);
  int rank = TF_GraphGetTensorNumDims(graph, input.place, status);
  check(status, name);
  int64_t shape[8] = {0};
  if (rank < 1 || rank > 8) fail("the input %s has %d axes", name, rank);
  TF_GraphGetTensorShape(graph, input.place, shape, rank, status);
  check(status, name);
  TF_DeleteStatus(status);
  shape[0] = rows;
  for (int k = 1; k < rank; k++) input.width *= shape[k];
  size_t size = input.type == TF_STRING ? sizeof(TF_TString) : TF_DataTypeSize(input.type);
  input.values = TF_AllocateTensor(input.type, shape, rank, rows * input.width * size);
  if (input.values == NULL) fail("out of memory");
  if (input.type == TF_STRING)
    for (int64_t k = 0; k < rows; k++) TF_StringInit((TF_TString *)TF_TensorData(input.values) + k);
  return input;
}

static void set(Input *input, int64_t place, const char *cell, int64_t row) {
  void *data = TF_TensorData(input->values);
  if (input->type == TF_STRING) {
    TF_StringCopy((TF_TString *)data + place, cell, strlen(cell));
    return;
  }
  char *end = NULL;
  double value = *cell ? strtod(cell, &end) : NAN;
  if (*cell && *end) fail("row %lld: '%s' is no number", (long long)row, cell);
  if (input->type == TF_FLOAT) ((float *)data)[place] = (float)value;
  else if (input->type == TF_DOUBLE) ((double *)data)[place] = value;
  else fail("an input is neither float32 nor float64 nor text");
}

/* One value of an output. */
static void print(const TF_Tensor *values, int64_t place) {
  const void *data = TF_TensorData(values);
  switch (TF_TensorType(values)) {
    case TF_BOOL: printf("%d", ((const unsigned char *)data)[place]); break;
    case TF_FLOAT: printf("%.9g", ((const float *)data)[place]); break;
    case TF_STRING: {
      const TF_TString *text = (const TF_TString *)data + place;
      printf("%.*s", (int)TF_StringGetSize(text), TF_StringGetDataPointer(text));
      break;
    }
    default: fail("an output is neither float32 nor truth nor text");
  }
}

int main(int count, char **arguments) {
  if (count != 3) fail("usage: %s FOLDER SIGNATURE < rows", arguments[0]);
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Buffer *meta = TF_NewBuffer();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, arguments[1], tags, 1, graph, meta, status);
  check(status, arguments[1]);
  Bytes all = {meta->data, (const uint8_t *)meta->data + meta->length};
  Bytes signature = entry(all, 5, arguments[2]);
  if (signature.at == NULL) fail("%s has no signature %s", arguments[1], arguments[2]);

  char **lines = zeros(MOST + 1, sizeof *lines);
  int64_t rows = 0;
  size_t room = 0;
  for (ssize_t size; (size = getline(&lines[rows], &room, stdin)) >= 0; rows++, room = 0) {
    if (rows == MOST) fail("more than %d lines; split the file", MOST);
    lines[rows][strcspn(lines[rows], "\r\n")] = 0;
  }
  char *names[MOST];
  int plain = tensor_of(graph, signature, 1, "x").oper != NULL;
  int64_t first = plain ? 0 : 1;
  if (rows <= first) fail("there are no rows");
  Input *inputs = zeros(MOST, sizeof *inputs);
  int used = 0;
  if (plain) {
    inputs[used++] = input_of(graph, signature, "x", rows);
    int known = names_of(signature, 1, names, MOST);
    for (int k = 0; k < known; k++) {
      if (strcmp(names[k], "x")) inputs[used++] = input_of(graph, signature, names[k], rows);
      free(names[k]);
    }
  }
  char *rest = plain ? NULL : lines[0];
  for (char *name; rest != NULL && used < MOST && (name = strsep(&rest, "\t"));)
    inputs[used++] = input_of(graph, signature, name, rows - 1);
  int64_t wanted = 0;
  for (int k = 0; k < used; k++) wanted += inputs[k].width;

  for (int64_t row = first; row < rows; row++) {
    char *cells = lines[row], *cell = NULL;
    int64_t read = 0;
    for (int k = 0; k < used; k++)
      for (int64_t j = 0; j < inputs[k].width && (cell = strsep(&cells, "\t")); j++, read++)
        set(&inputs[k], (row - first) * inputs[k].width + j, cell, row - first);
    if (cells != NULL || read < wanted) fail("row %lld has not %lld cells", (long long)(row - first), (long long)wanted);
  }
  rows -= first;

  TF_Output fed[MOST], fetched[MOST];
  TF_Tensor *values[MOST], *results[MOST] = {NULL};
  int outputs = names_of(signature, 2, names, MOST);
  for (int k = 0; k < outputs; k++) fetched[k] = tensor_of(graph, signature, 2, names[k]);
  for (int k = 0; k < used; k++) fed[k] = inputs[k].place, values[k] = inputs[k].values;
  TF_SessionRun(session, NULL, fed, values, used, fetched, results, outputs, NULL, 0, NULL, status);
  check(status, "the model refuses the rows");

  int64_t widths[MOST];
  for (int k = 0; k < outputs; k++) {
    widths[k] = TF_TensorElementCount(results[k]) / rows;
    for (int64_t j = 0; j < widths[k]; j++) {
      printf("%s%s", k || j ? "\t" : "", names[k]);
      if (TF_NumDims(results[k]) > 1) printf("_%lld", (long long)(j + 1));
    }
  }
  printf("\n");
  for (int64_t row = 0; row < rows; row++) {
    for (int k = 0; k < outputs; k++)
      for (int64_t j = 0; j < widths[k]; j++) {
        if (k || j) printf("\t");
        print(results[k], row * widths[k] + j);
      }
    printf("\n");
  }

  for (int k = 0; k < outputs; k++) TF_DeleteTensor(results[k]), free(names[k]);
  for (int k = 0; k < used; k++) TF_DeleteTensor(inputs[k].values);
  for (int64_t k = 0; k <= rows + first; k++) free(lines[k]);
  free(lines), free(inputs);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options), TF_DeleteBuffer(meta), TF_DeleteGraph(graph), TF_DeleteStatus(status);
  return 0;
}
