// What each instruction does to a step's buffers: the one place that says it.
//
//   forward s m    batch m: taken by the first segment, read by the others; flow of s-1 freed, copies of s's groups
//   read;
//                  tape of s taken if all is kept, inputs of s if those are; flow of s taken. The last one, if it keeps
//                  nothing, frees the batch and leaves no flow.
//   recompute s m  its inputs: those kept of s, freed unless they are kept on, or the replay of s-1, freed; batch and
//                  those copies read that s computes with; tape or inputs of s taken as by forward; replay of s taken.
//   backward s m   replay of s dropped; tape of s freed; gradient flow of s+1 freed (the last segment: flow freed), that
//                  of s taken (not by the first that is trained); batch and copies read; added to the gradients of those
//                  of s's groups that are not frozen. The first that is trained frees the batch.
//   gather g       parameters of g taken and lent until its event, which is taken
//   release g      copies of g freed, or if it is sharded its parameters
//   reduce g m     gradients of g (of micro-batch m, if they are reduced by micro-batch) lent until its event, which is
//                  taken
//   wait e         event e returned, with all that was lent until it
//   agree          the agreement taken
//   update g       the agreement read, gradients of g freed, copies of g refilled, parameters dropped if it is sharded
//
// Forward and recompute read the parameters of sharded groups, backward if its segment says so. Under ZeRO 1 and 2 they
// are there from the start. Where gradients are reduced by micro-batch, those of m are settled before any of m+1 come.
//
// How the others will read: `evict x` lends x until an event whose wait frees it, `fetch x` takes it so; `stash s` and
// `unstash s` are those two for a tape or for kept inputs. Each is a kind of buffer and a case here.
//
// Pure. Torch-free.
#ifndef STOWAGE_TRAINER_SCHEDULE_INSTRUCTION_EFFECTS_H_
#define STOWAGE_TRAINER_SCHEDULE_INSTRUCTION_EFFECTS_H_

#include <vector>

#include "trainer/schedule/buffer_table.h"
#include "trainer/schedule/instruction.h"
#include "trainer/schedule/model_shape.h"

namespace stowage {

// Puts the effects of `instruction`, in the order in which they happen, in the place of what `effects` held.
// `instruction`'s indices are the model's.
void EffectsOf(const Instruction& instruction, const ModelShape& model, std::vector<Effect>* effects);

// The buffers that a schedule of so many micro-batches and events has on this model, those that are there from the
// start (copies: the executor makes them when they are first read), and how many contributions make a group's gradients
// whole: one of every segment that uses it, in every micro-batch. Those of frozen groups never come into being.
BufferTable BuffersOf(const ModelShape& model, int micro_batches, int events);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_INSTRUCTION_EFFECTS_H_
